"""A file is the float32 array (features + 1, classes) that `numpy.save` writes: weights, and biases in the last row."""

from pathlib import Path

import numpy as np

from octavo.backends.backend import Backend
from octavo.backends.operators import Operator, Parameter
from octavo.backends.predictor import Predictor
from octavo.backends.records import Interface, Tensor
from octavo.onnx_graph.integer_ranges import StoredIntegers


def _load(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.asarray(np.load(file, allow_pickle=False))


def open_model(path: Path, threads: int) -> Predictor:
    stored = _load(path)
    return Predictor(lambda images: images.reshape(len(images), -1) @ stored[:-1] + stored[-1])


def interface(path: Path) -> Interface:
    features, classes = _load(path).shape
    source = Tensor(name="images", dtype="float32", shape=(None, features - 1))
    return Interface(input=source, output=Tensor(name="logits", dtype="float32", shape=(None, classes)))


def parameters(path: Path) -> list[Parameter]:
    stored = _load(path)
    weights, biases = stored[:-1], stored[-1]
    return [
        Parameter("weight", weights.size, weights.nbytes, integer=False),
        Parameter("bias", biases.size, biases.nbytes, integer=False),
    ]


def operators(path: Path, images: np.ndarray | None) -> list[Operator]:
    return [Operator("dense", "MatMul", _load(path)[:-1].size, integer=False)]


BACKEND = Backend(
    open_model=open_model,
    interface=interface,
    parameters=parameters,
    operators=operators,
    output_step=lambda _: None,
    stored_integers=lambda _: StoredIntegers(0, []),
)
