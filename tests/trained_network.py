"""Trains a network, plain and quantization-aware, and exports both: trained_network.py NAME FOLDER [SOURCE [FORM]].

With the form `fp32` only the plain one. Beside the quantization-aware one stand Keras' own logits, of the test images
where the source has any, else of all.
"""

import sys
from pathlib import Path
from typing import Literal

import numpy as np

from octavo.data import sources
from octavo.data.input_encoding import encode
from octavo.data.splits import Split
from octavo.project.params.data import Data
from octavo.project.params.training import Fit
from octavo.training import export, networks
from octavo.training.fitting import fit
from octavo.training.quantization_aware import qat

BUDGETS = {"digits": Fit(epochs=4, batch_size=32), "mnist": Fit(epochs=1, batch_size=32)}
IMAGES = 6300
"""Enough to learn something in the time that a test may take."""


def main(name: str, folder: Path, source: Literal["digits", "mnist"] = "digits", form: str = "both") -> None:
    raw, budget = sources.load(Data(source=source)), BUDGETS[source]
    images, labels = (part[:IMAGES] for part in raw.train)
    train, held = Split(images[300:], labels[300:]), Split(images[:300], labels[:300])
    fit.pin(seed=0, threads=1)
    model = networks.build(name, (28, 28), 10)
    fit.save(model, fit.fit(model, train, held, budget, "fp32"), folder / "fp32")
    export.export(model, encode(held.images), folder / "fp32")
    if form == "fp32":
        return
    aware = qat.annotate(model)
    qat.initialize_ranges(aware, encode(train.images[:200]))
    fit.save(aware, fit.fit(aware, train, held, budget, "qat"), folder / "qat")
    export.export(aware, encode(held.images), folder / "qat")
    asked = (raw.test or raw.train)[0]
    np.save(folder / "qat" / "keras_logits.npy", aware.predict(encode(asked), verbose=0))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])  # type: ignore[arg-type]
