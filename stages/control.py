"""DVC stage `control`: the float network trained on for exactly the budget that quantization-aware training gets."""

import sys

from pipeline import layout, remarks
from pipeline.errors import boundary
from pipeline.needed import needed, why_not
from pipeline.params import load_params
from pipeline.splits import load_manifest, load_split
from pipeline.training import fit, network


@boundary()
def main() -> None:
    params = load_params()
    if "control" not in needed(params.variants.values()):
        remarks.refuse(layout.network("control"), why_not("control"))
        print(why_not("control"), file=sys.stderr)
        return
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model = network.build(params.train.network, manifest.image_shape, len(manifest.classes))
    fit.restore(model, layout.weights("fp32"))
    train, selection = load_split(layout.split("train")), load_split(layout.split("selection"))
    curve = fit.fit(model, train, selection, params.qat, "control")
    fit.save(model, curve, layout.network("control"))


if __name__ == "__main__":
    main()
