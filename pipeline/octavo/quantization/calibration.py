"""Activation ranges from the representative dataset. Memory does not grow with the number of images.

The images are read twice, in batches. The first pass finds the extremes of each tensor. The second pass counts the
tensor's values in a histogram between these extremes. Extremes and counts are the same as from all values at once, and
every method below uses only them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from scipy.special import rel_entr

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.data.input_encoding import encode
from octavo.onnx_graph.integer_ranges import LEVELS, Range, uint8_parameters
from octavo.onnx_graph.rewrites import network_input
from octavo.project.errors import ModelError

BINS = 2048
BATCH = 32

ROUNDS = 2
"""How many times each end of a range is optimized while the other end is fixed. A third round changes nothing."""
TINY = 1e-6
"""Added to every count, so that the logarithm of an empty bin exists."""


@dataclass(frozen=True)
class Observation:
    """Statistics of one tensor over all images."""

    low: float
    high: float
    mean_low: float
    """The smallest value of each image, averaged over images. A single outlier counts less than in `low`."""
    mean_high: float
    """The largest value of each image, averaged over images."""
    counts: np.ndarray
    """Histogram, int64 (BINS,): number of values in bins of equal width from `low` to `high`."""


def observe(model: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray) -> dict[str, Observation]:
    """Run the model on the images and collect statistics of the named tensors.

    Peak memory is that of the activations of one batch.

    Args:
        model: the float network.
        tensors: names of its input or of activations.
        images: (N, H, W[, C]), uint8, or float32 that is already scaled.

    Returns:
        Tensor name -> its statistics.

    Raises:
        ModelError: an activation is NaN or infinite.
    """
    extremes: dict[str, list[np.ndarray]] = {name: [] for name in tensors}
    for values in run(model, tensors, images):
        for name, value in values.items():
            flat = value.reshape(len(value), -1)
            extremes[name].append(np.stack([flat.min(1), flat.max(1)]))
    seen = {name: np.concatenate(parts, axis=1) for name, parts in extremes.items()}
    ends = {name: (float(pair[0].min()), float(pair[1].max())) for name, pair in seen.items()}
    if infinite := [name for name, pair in ends.items() if not np.isfinite(pair).all()]:
        raise ModelError(
            f"{_layer(model, infinite[0])} gives values that are not finite on calibration images, so they have no "
            "range. Look for overflow, a logarithm or a division by zero in the float network."
        )
    counts = {name: np.zeros(BINS, np.int64) for name in tensors}
    for values in run(model, tensors, images):
        for name, value in values.items():
            counts[name] += np.histogram(value, BINS, _widened(*ends[name]))[0]
    return {
        name: Observation(*ends[name], float(pair[0].mean()), float(pair[1].mean()), counts[name])
        for name, pair in seen.items()
    }


def _layer(model: onnx.ModelProto, value: str) -> str:
    """The name by which users know the layer that computes `value`."""
    made = next((node for node in model.graph.node if value in node.output), None)
    return f"Layer '{made.doc_string or value}' ({made.op_type})" if made else f"Input '{value}'"


def min_max(seen: Observation) -> Range:
    """The whole range from the smallest to the largest value."""
    return seen.low, seen.high


def average(seen: Observation) -> Range:
    """The ranges of the single images, averaged over the images."""
    return seen.mean_low, seen.mean_high


def percentile(seen: Observation, share: float) -> Range:
    """The middle `share` percent of the values. Half of the rest is cut off at each end; an end at zero stays."""
    tail = (1 - share / 100) / 2 * seen.counts.sum()
    edges = _edges(seen)
    below = np.concatenate([[0], np.cumsum(seen.counts)])
    low = edges[np.searchsorted(below, tail, side="right") - 1] if seen.low < 0 else seen.low
    high = edges[np.searchsorted(below, below[-1] - tail, side="left")] if seen.high > 0 else seen.high
    return float(low), float(high)


def least_error(seen: Observation) -> Range:
    """The range with the smallest expected squared error from rounding and clipping. 100 widths are tried per end."""
    centres = _centres(seen)

    def error(low: float, high: float) -> float:
        return float(seen.counts @ (centres - _quantized(centres, low, high)) ** 2)

    return _narrowed((seen.low, seen.high), error, np.linspace(0.01, 1, 100))


def least_divergence(seen: Observation) -> Range:
    """The range with the smallest Kullback-Leibler divergence between the true and the quantized distribution.

    Clipped values count at the ends of the true distribution, but not in the quantized one. Zeros count in neither,
    because they are quantized without error. Source: S. Migacz, 8-bit inference with TensorRT, GTC 2017; here with
    asymmetric ranges.
    """
    centres = _centres(seen)
    counts = np.where(np.abs(centres) < (centres[1] - centres[0]), 0, seen.counts)

    def loss(low: float, high: float) -> float:
        inside = (centres >= low) & (centres <= high)
        if not inside.any():
            return np.inf
        held = np.clip(np.arange(BINS), *np.flatnonzero(inside)[[0, -1]])
        true = np.bincount(held, counts, BINS)
        steps = np.rint((np.clip(centres, low, high) - low) * (LEVELS / max(high - low, 1e-30))).astype(int)
        occupied = inside & (true > 0)
        mass = np.bincount(steps, counts * inside, LEVELS + 1)
        members = np.bincount(steps, occupied, LEVELS + 1)
        spread = np.where(occupied, (mass / np.maximum(members, 1))[steps], 0)
        return _divergence(true + TINY, spread + TINY)

    return _narrowed((min(seen.low, 0), max(seen.high, 0)), loss, np.linspace(0.1, 1, 91))


METHODS: dict[str, Callable[[Observation], Range]] = {
    "min_max": min_max,
    "average": average,
    "percentile_99.9": lambda seen: percentile(seen, 99.9),
    "percentile_99.99": lambda seen: percentile(seen, 99.99),
    "percentile_99.999": lambda seen: percentile(seen, 99.999),
    "least_error": least_error,
    "least_divergence": least_divergence,
}


def _narrowed(ends: Range, loss: Callable[[float, float], float], widths: np.ndarray) -> Range:
    """The range within `ends` that has the smallest loss; of equal ones the widest.

    First both ends shrink by the same factor, then each by its own.

    Args:
        ends: the widest range.
        loss: of a range, given as its low and its high end.
        widths: the factors to try, in 0..1.
    """
    low, high = ends
    _, width = min((loss(width * low, width * high), -width) for width in widths)
    low, high = -width * low, -width * high
    for _ in range(ROUNDS if low and high else 0):
        low = -min((loss(width * ends[0], high), -width) for width in widths)[1] * ends[0]
        high = -min((loss(low, width * ends[1]), -width) for width in widths)[1] * ends[1]
    return low, high


def _divergence(true: np.ndarray, other: np.ndarray) -> float:
    """Kullback-Leibler divergence of `other` from `true`, both given as counts."""
    return float(rel_entr(true / true.sum(), other / other.sum()).sum())


def _quantized(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scale, zero = uint8_parameters(low, high)
    return (np.clip(np.rint(values / scale) + zero, 0, LEVELS) - zero) * scale


def _widened(low: float, high: float) -> Range:
    """Ends of a histogram, never equal. In float64: there may be fewer than BINS float32 values between the ends."""
    low, high = np.float64(low), np.float64(high)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _edges(seen: Observation) -> np.ndarray:
    return np.linspace(*_widened(seen.low, seen.high), BINS + 1)


def _centres(seen: Observation) -> np.ndarray:
    edges = _edges(seen)
    return (edges[1:] + edges[:-1]) / 2


def run(model: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Yield the values of the named tensors, batch by batch.

    Args:
        model: an ONNX network with one input.
        tensors: names of the input or of activations.
        images: (N, H, W[, C]), uint8, or float32 that is already scaled.
    """
    (source,) = model.graph.input
    made = [name for name in tensors if name != source.name]
    session = open_probe(model, made) if made else None
    encoding = network_input.encoding(model)
    for start in range(0, len(images), BATCH):
        values = {source.name: encode(images[start : start + BATCH], encoding)}
        if session is not None:
            values |= dict(zip(made, session.run(made, values), strict=True))
        yield {name: values[name] for name in tensors}
