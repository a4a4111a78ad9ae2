"""Integers that stand for real values: ranges as scale and zero point, and the constants that files store."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LEVELS = 255
"""Steps of a uint8 range."""


Range = tuple[float, float]


@dataclass(frozen=True)
class Stored:
    """A constant in integers: real = scale * (integer - zero)."""

    integers: np.ndarray
    scale: np.ndarray
    """Of a shape that goes with the integers'."""
    zero: np.ndarray


class StoredIntegers(NamedTuple):
    """What a model file stores in integers."""

    clipped_biases: int
    """Biases that the range of their integers has cut off."""
    constants: list[Stored]
    """In 8-bit integers, weights among them."""
    steps: frozenset[float] = frozenset()
    """Scales that the file fixes for integers that it computes, such as activations."""


def uint8_parameters(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of the uint8 range that holds `low`, `high` and zero.

    A range whose step would not be a normal float32 counts as zero alone, with scale 1: smaller numbers have fewer
    digits, and some processors take them as zero.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    step = np.float32((high - low) / LEVELS)
    scale = step if step >= np.finfo(np.float32).tiny else np.float32(1)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))


def along(parameters: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Scales or zero points, or another value for each channel, shaped to broadcast with an array.

    Args:
        parameters: a scalar or a vector.
        axis: of the array, along which the vector lies.
        rank: of the array.
    """
    return parameters.reshape([-1 if place == axis % rank else 1 for place in range(rank)] if parameters.ndim else [])


def is_at_an_end(biases: np.ndarray) -> np.ndarray:
    """Which of the integers are at an end of their type; converters that keep to a symmetric range end one before."""
    limits = np.iinfo(biases.dtype)
    return (biases == limits.max) | (biases <= -limits.max)
