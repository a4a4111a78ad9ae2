"""Count the values that quantization clipped: compare the integers in a model file with its float network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octavo.backends import registry
from octavo.quantization.clipping import weights


@dataclass(frozen=True)
class Clips:
    """Number of clipped elements."""

    biases: int
    weights: int
    unmatched: int
    """Elements of weights whose float values were not found in the network. It is unknown whether they are clipped."""


def count(path: Path, network: Path) -> Clips:
    """Count the clipped biases and weights in a model file.

    Biases count if they are stored as integers of 32 bits or more and lie at an end of that type. In ONNX, float biases
    of layers with integer input and weights also count if they leave int32 at the scale of the products: onnxruntime
    rounds them to int32 without a warning when it loads the file.

    Weights count if they are stored as 8-bit integers and their float value lies more than half a step beyond the
    range. The float values are searched for among the constants of `network`, in any layout, as they are and equalized.
    A constant matches if it rounds to the stored integers. Equal integers are left out: a file's own averages.

    Args:
        path: a model file. In ONNX only the main graph is searched, not the bodies of loops and branches.
        network: the exported ONNX network that the file was made from.

    Raises:
        ModelError: one of the two files cannot be read.
    """
    biases, constants, _ = registry.backend_of(path).stored_integers(path)
    stored = [each for each in constants if each.integers.size < 2 or np.ptp(each.integers)]
    if not stored:
        return Clips(biases, 0, 0)
    clipped, unmatched = weights.count(stored, network)
    return Clips(biases, clipped, unmatched)
