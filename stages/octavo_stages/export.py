"""DVC stage `export`: one trained network in; checked ONNX, a SavedModel and remarks out, or why there is none."""

import sys

from octavo.backends import network_notes
from octavo.data.input_encoding import pixels
from octavo.data.splits import load_manifest, load_split
from octavo.project import paths
from octavo.project.errors import ModelError, boundary
from octavo.project.params import load_params
from octavo.training import ending, export, fit, networks, qat


@boundary()
def main(name: str) -> None:
    refusal = network_notes.refusal(paths.network(name))
    if refusal:
        network_notes.refuse(paths.exported(name), refusal)
        return
    try:
        _export(name)
    except ModelError as error:
        if name != "qat":  # everything is compared with the others
            raise
        network_notes.refuse(paths.exported(name), str(error))
        print(f"Refused network {name}, and with it the variants of source '{name}': {error}", file=sys.stderr)


def _export(name: str) -> None:
    train = load_params().train
    manifest = load_manifest(paths.MANIFEST)
    fit.pin(train.seed, train.threads)
    model, squashing = networks.build_as_written(train.network, manifest.image_shape, len(manifest.classes))
    model = qat.annotate(model) if name == "qat" else model
    fit.restore(model, paths.weights(name))
    export.export(model, pixels(load_split(paths.split("calibration")).images), paths.exported(name))
    left = qat.float_layers(model) if name == "qat" else []
    said = [*([ending.taken_off(squashing)] if squashing else ()), *([qat.in_float(left)] if left else ())]
    network_notes.write(paths.exported(name), said)


if __name__ == "__main__":
    main(sys.argv[1])
