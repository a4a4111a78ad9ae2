"""DVC stage `export`: one trained network in, checked ONNX and a SavedModel out."""

import sys

from pipeline import layout
from pipeline.errors import boundary
from pipeline.params import load_params
from pipeline.splits import load_manifest, load_split, pixels
from pipeline.training import export, fit, network, qat


@boundary()
def main(name: str) -> None:
    train = load_params().train
    manifest = load_manifest(layout.MANIFEST)
    fit.pin(train.seed, train.threads)
    model = network.build(train.network, manifest.image_shape, len(manifest.classes))
    model = qat.annotate(model) if name == "qat" else model
    fit.restore(model, layout.weights(name))
    export.export(model, pixels(load_split(layout.split("calibration")).images), layout.exported(name))


if __name__ == "__main__":
    main(sys.argv[1])
