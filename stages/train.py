"""DVC stage `train`: the train split in, the float network's weights and curve out."""

import sys

from pipeline import layout
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.splits import load_manifest, load_split
from pipeline.training import ending, fit, network


@boundary()
def main() -> None:
    params = load_params()
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model, squashing = network.build_as_written(params.train.network, manifest.image_shape, len(manifest.classes))
    if squashing:
        print(ending.taken_off(squashing), file=sys.stderr)
    train, selection = load_split(layout.split("train")), load_split(layout.split("selection"))
    curve = fit.fit(model, train, selection, params.train, "train")
    fit.save(model, curve, layout.network("fp32"))


if __name__ == "__main__":
    main()
