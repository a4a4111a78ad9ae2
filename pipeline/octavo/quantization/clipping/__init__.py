"""What the range of the integers that a model file stores has cut off, counted from the file and its float network."""

from dataclasses import dataclass
from pathlib import Path

from octavo.backends import registry
from octavo.quantization.clipping import weights


@dataclass(frozen=True)
class Clips:
    """Elements that were cut off."""

    biases: int
    weights: int
    unmatched: int
    """Elements of weights whose float values are not found in the network: it is unknown whether they are cut off."""


def count(path: Path, network: Path) -> Clips:
    """Count what is cut off in the model file `path`.

    Biases: those that are stored as integers of 32 bits or more, at an end of that type; and in ONNX those that are
    stored in float beside an input and weights in integers and leave int32 at the scale of the products, because
    onnxruntime rounds them to int32 as it loads the file, and says nothing.

    Weights: constants stored as 8-bit integers whose float value lies more than half a step beyond the range. The float
    values are looked for among the constants of `network`, whatever their layout, as they are and equalized: they are
    found where they round to the stored integers.

    Args:
        path: a model file. Of ONNX the main graph is looked at, not the bodies of loops and branches.
        network: the exported ONNX network that it was made of.

    Raises:
        ModelError: one of the two cannot be read.
    """
    biases, stored = registry.backend_of(path).stored_integers(path)
    if not stored:
        return Clips(biases, 0, 0)
    clipped, unmatched = weights.count(stored, network)
    return Clips(biases, clipped, unmatched)
