"""Brightness and contrast of images, in bins that stay comparable between data sets."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from octavo.data.splits import PixelStatistics
from octavo.project.files import spooled_array

Histogram = Literal["brightness", "contrast"]
Range = tuple[float, float]
Measures = npt.NDArray[np.float64]
BINS = 32
CHUNK = 256
"""Images measured at a time, which limits the memory."""


def pixel_range(arrays: Sequence[npt.NDArray[Any]]) -> Range:
    """The range of the histograms of these arrays: 0..255 for uint8, for floats 0..b or -b..b, where b is a power of
    two.

    It is the smallest power of two that holds every pixel. So the range stays the same when data grow, and the bins of
    one range are whole bins of the next.
    """
    if all(array.dtype == np.uint8 for array in arrays):
        return 0.0, 255.0
    ends = [(part.min(), part.max()) for array in arrays for part in spooled_array.parts(array)]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    largest = max(-low, high)
    bound = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0
    return (0.0 if low >= 0 else -bound), bound


def measure(images: npt.NDArray[Any], values: Range) -> PixelStatistics:
    """Statistics of images.

    Args:
        images: (N, H, W) or (N, H, W, C).
        values: range of the histograms.
    """
    return summarize(*brightness_and_contrast(images), values)


def brightness_and_contrast(images: npt.NDArray[Any]) -> tuple[Measures, Measures]:
    """Mean and standard deviation of each image's pixels, (N,) each."""
    rows = images.reshape(len(images), -1)
    means, deviations = [], []
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        means.append(chunk.mean(axis=1, dtype=np.float64))
        deviations.append(chunk.std(axis=1, dtype=np.float64))
        spooled_array.release(images)
    return np.concatenate(means), np.concatenate(deviations)


def summarize(brightness: Measures, contrast: Measures, values: Range) -> PixelStatistics:
    """Statistics of images of one size.

    Args:
        brightness: (N,) mean of each image's pixels.
        contrast: (N,) standard deviation of each image's pixels.
        values: range of the histograms.
    """
    return PixelStatistics(
        mean=float(brightness.mean()),
        std=math.sqrt(float((contrast**2).mean() + brightness.var())),
        brightness=_histogram(brightness, histogram_range("brightness", values)),
        contrast=_histogram(contrast, histogram_range("contrast", values)),
    )


def histogram_range(name: Histogram, values: Range) -> Range:
    """The range of one histogram for pixels in the range `values`."""
    low, high = values
    return (low, high) if name == "brightness" else (0.0, (high - low) / 2)


def middles(name: Histogram, values: Range, bins: int = BINS) -> Measures:
    """(bins,) the middle of each bin.

    Args:
        name: `brightness` or `contrast`.
        values: range of the pixels.
        bins: number of bins.
    """
    edges = np.linspace(*histogram_range(name, values), bins + 1)
    return (edges[1:] + edges[:-1]) / 2


def _histogram(measured: Measures, span: Range) -> tuple[int, ...]:
    """Counts in `BINS` equal bins. What rounding puts outside is counted in the outermost bin."""
    return tuple(np.histogram(np.clip(measured, *span), BINS, span)[0].tolist())
