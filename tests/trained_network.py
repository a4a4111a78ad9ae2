"""Trains a network on digits, plain and quantization-aware, and exports both: trained_network.py NAME FOLDER."""

import sys
from pathlib import Path

from pipeline import sources
from pipeline.params import Data, Fit
from pipeline.splits import Split, pixels
from pipeline.training import export, fit, network, qat


def main(name: str, folder: Path) -> None:
    images, labels = sources.load(Data(source="digits")).train
    train, held = Split(images[300:], labels[300:]), Split(images[:300], labels[:300])
    budget = Fit(epochs=4, batch_size=32)
    fit.pin(seed=0, threads=1)
    model = network.build(name, (28, 28), 10)
    fit.save(model, fit.fit(model, train, held, budget, "fp32"), folder / "fp32")
    export.export(model, pixels(held.images), folder / "fp32")
    aware = qat.annotate(model)
    qat.initialize_ranges(aware, pixels(train.images[:200]))
    fit.save(aware, fit.fit(aware, train, held, budget, "qat"), folder / "qat")
    export.export(aware, pixels(held.images), folder / "qat")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
