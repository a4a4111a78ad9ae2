"""Train a network on MNIST and export it: `python networks.py NETWORK FOLDER`, with the splits in FOLDER/data.

One epoch in float, then one of quantization-aware training, both exported to FOLDER/NETWORK/fp32 and /qat. It is a
program of its own because TensorFlow is pinned before it runs its first operation: one process a network.
"""

import sys
from pathlib import Path

from octavo.data.input_encoding import encode
from octavo.data.splits import load_manifest, load_split
from octavo.project.params.training import Fit
from octavo.training import export, networks
from octavo.training.fitting import fit
from octavo.training.quantization_aware import qat

FLOAT = Fit(epochs=1, batch_size=32)
QAT = Fit(epochs=1, batch_size=500)


def make(name: str, folder: Path) -> None:
    data = folder / "data"
    train, selection, calibration = (load_split(data / part) for part in ("train", "selection", "calibration"))
    manifest = load_manifest(data / "manifest.json")
    fit.pin(seed=0, threads=1)
    model = networks.build(name, manifest.image_shape, len(manifest.classes))
    fit.save(model, fit.fit(model, train, selection, FLOAT, f"{name} fp32"), folder / name / "fp32")
    export.export(model, encode(calibration.images), folder / name / "fp32")
    model = qat.annotate(model)
    qat.initialize_ranges(model, encode(calibration.images))
    fit.save(model, fit.fit(model, train, selection, QAT, f"{name} qat"), folder / name / "qat")
    export.export(model, encode(calibration.images), folder / name / "qat")


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
