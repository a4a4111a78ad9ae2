"""DVC stage `export`: one trained network in; checked ONNX, a SavedModel and remarks out, or why there is none."""

import sys

from pipeline import layout, remarks
from pipeline.errors import ModelError, boundary
from pipeline.input_encoding import pixels
from pipeline.params import load_params
from pipeline.splits import load_manifest, load_split
from pipeline.training import ending, export, fit, network, qat


@boundary()
def main(name: str) -> None:
    refusal = remarks.refusal(layout.network(name))
    if refusal:
        remarks.refuse(layout.exported(name), refusal)
        return
    try:
        _export(name)
    except ModelError as error:
        if name != "qat":  # everything is compared with the others
            raise
        remarks.refuse(layout.exported(name), str(error))
        print(f"Refused network {name}, and with it the variants of source '{name}': {error}", file=sys.stderr)


def _export(name: str) -> None:
    train = load_params().train
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(train.seed, train.threads)
    model, squashing = network.build_as_written(train.network, manifest.image_shape, len(manifest.classes))
    model = qat.annotate(model) if name == "qat" else model
    fit.restore(model, layout.weights(name))
    export.export(model, pixels(load_split(layout.split("calibration")).images), layout.exported(name))
    left = qat.float_layers(model) if name == "qat" else []
    said = [*([ending.taken_off(squashing)] if squashing else ()), *([qat.in_float(left)] if left else ())]
    remarks.write(layout.exported(name), said)


if __name__ == "__main__":
    main(sys.argv[1])
