"""DVC stage `train`: the train split in, the float network's weights and curve out."""

import sys

from octavo.data.splits import load_manifest, load_split
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.params import load_params
from octavo.training import ending, fit, networks


@boundary()
def main() -> None:
    params = load_params()
    manifest = load_manifest(paths.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model, squashing = networks.build_as_written(params.train.network, manifest.image_shape, len(manifest.classes))
    if squashing:
        print(ending.taken_off(squashing), file=sys.stderr)
    train, selection = load_split(paths.split("train")), load_split(paths.split("selection"))
    curve = fit.fit(model, train, selection, params.train, "train")
    fit.save(model, curve, paths.network("fp32"))


if __name__ == "__main__":
    main()
