"""The last layer of a network that has no other, as one matrix."""

from pathlib import Path

import numpy as np

from octavo.data.splits import Samples
from octavo.onnx_graph import canonicalize, qdq
from octavo.project.params.section import Model


class Options(Model):
    pass


def quantize(exported: Path, target: Path, samples: Samples, options: Options) -> None:
    arrays = qdq.initializers(canonicalize.load(exported / "model.onnx")).values()
    (weights,) = [array for array in arrays if array.ndim == 2]
    (biases,) = [array for array in arrays if array.ndim == 1 and array.dtype == np.float32]
    with target.open("wb") as file:
        np.save(file, np.vstack([weights, biases]))
