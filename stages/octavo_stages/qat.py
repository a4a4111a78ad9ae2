"""DVC stage `qat`: the float network fine-tuned with fake quantization, its ranges started from calibration."""

import sys

from octavo.backends import network_notes
from octavo.data.input_encoding import pixels
from octavo.data.splits import load_manifest, load_split
from octavo.project import paths
from octavo.project.errors import ModelError, boundary
from octavo.project.needed import needed, why_not
from octavo.project.params import Params, load_params
from octavo.training import fit, networks, qat


@boundary()
def main() -> None:
    params = load_params()
    if "qat" in needed(params.variants.values()):
        _train(params)
    else:
        network_notes.refuse(paths.network("qat"), why_not("qat"))
        print(why_not("qat"), file=sys.stderr)


def _train(params: Params) -> None:
    manifest = load_manifest(paths.MANIFEST)
    fit.pin(params.train.seed, params.train.threads)
    model = networks.build(params.train.network, manifest.image_shape, len(manifest.classes))
    fit.restore(model, paths.weights("fp32"))
    calibration = pixels(load_split(paths.split("calibration")).images)
    try:
        model = qat.annotate(model)
        qat.initialize_ranges(model, calibration)
    except ModelError as error:
        network_notes.refuse(paths.network("qat"), str(error))
        print(f"Refused network qat, and with it the variants of source 'qat': {error}", file=sys.stderr)
        return
    if left := qat.float_layers(model):
        print(qat.in_float(left), file=sys.stderr)
    train, selection = load_split(paths.split("train")), load_split(paths.split("selection"))
    curve = fit.fit(model, train, selection, params.qat, "qat")
    qat.widen(model, calibration)
    fit.save(model, curve, paths.network("qat"))


if __name__ == "__main__":
    main()
