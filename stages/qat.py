"""DVC stage `qat`: the float network fine-tuned with fake quantization, its ranges started from calibration."""

import sys

from pipeline import layout, remarks
from pipeline.errors import ModelError, boundary
from pipeline.input_encoding import pixels
from pipeline.needed import needed, why_not
from pipeline.params import Params, load_params
from pipeline.splits import load_manifest, load_split
from pipeline.training import fit, network, qat


@boundary()
def main() -> None:
    params = load_params()
    if "qat" in needed(params.variants.values()):
        _train(params)
    else:
        remarks.refuse(layout.network("qat"), why_not("qat"))
        print(why_not("qat"), file=sys.stderr)


def _train(params: Params) -> None:
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model = network.build(params.train.network, manifest.image_shape, len(manifest.classes))
    fit.restore(model, layout.weights("fp32"))
    calibration = pixels(load_split(layout.split("calibration")).images)
    try:
        model = qat.annotate(model)
        qat.initialize_ranges(model, calibration)
    except ModelError as error:
        remarks.refuse(layout.network("qat"), str(error))
        print(f"Refused network qat, and with it the variants of source 'qat': {error}", file=sys.stderr)
        return
    if left := qat.float_layers(model):
        print(qat.in_float(left), file=sys.stderr)
    train, selection = load_split(layout.split("train")), load_split(layout.split("selection"))
    curve = fit.fit(model, train, selection, params.qat, "qat")
    qat.widen(model, calibration)
    fit.save(model, curve, layout.network("qat"))


if __name__ == "__main__":
    main()
