"""Signal-to-quantization-noise ratio (SQNR) in decibels."""

import math

import numpy as np


def sqnr(wanted: np.ndarray, got: np.ndarray) -> float:
    """SQNR of two arrays of one shape, in decibels: 200 without any noise, -200 if a value is not finite."""
    wanted, got = wanted.astype(np.float64), got.astype(np.float64)
    return decibels(float(np.mean(wanted**2)), float(np.mean((wanted - got) ** 2)))


def decibels(signal: float, noise: float) -> float:
    """The ratio of two powers in decibels, limited to -200..200.

    It is 200 if there is no noise, and -200 if one of the two is not finite.
    """
    if not (math.isfinite(signal) and math.isfinite(noise)):
        return -200.0
    if not (signal and noise):
        return -200.0 if noise else 200.0
    return min(200.0, max(-200.0, 10 * (math.log10(signal) - math.log10(noise))))
