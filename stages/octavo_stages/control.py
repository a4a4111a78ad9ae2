"""DVC stage `control`: the float network trained on for exactly the budget that quantization-aware training gets."""

import sys

from octavo.backends import network_notes
from octavo.data.splits import load_manifest, load_split
from octavo.project import paths
from octavo.project.errors import boundary
from octavo.project.needed import needed, why_not
from octavo.project.params import load_params
from octavo.training import fit, networks


@boundary()
def main() -> None:
    params = load_params()
    if "control" not in needed(params.variants.values()):
        network_notes.refuse(paths.network("control"), why_not("control"))
        print(why_not("control"), file=sys.stderr)
        return
    manifest = load_manifest(paths.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model = networks.build(params.train.network, manifest.image_shape, len(manifest.classes))
    fit.restore(model, paths.weights("fp32"))
    train, selection = load_split(paths.split("train")), load_split(paths.split("selection"))
    curve = fit.fit(model, train, selection, params.qat, "control")
    fit.save(model, curve, paths.network("control"))


if __name__ == "__main__":
    main()
