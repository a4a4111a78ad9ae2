"""Measure saturation on x86 CPUs without VNNI: sums of two products that exceed 16 bits (see `integer_weights`)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view

from octavo.backends.onnxruntime import inspection as reader
from octavo.backends.onnxruntime import integer_weights
from octavo.backends.records import Saturation

LOWEST, HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
IMAGES = 64
"""Number of images. This many are enough, and every value of the graph is kept in memory for each."""
ROWS = 4096
"""Largest number of rows of a matrix product that are measured, evenly spread over all rows."""


def measure(path: Path, images: np.ndarray) -> list[Saturation]:
    """Layers of an ONNX file whose weights can saturate, and how often they do so.

    A layer that consists of several matrix products has several entries.

    Args:
        path: the ONNX file.
        images: (N, H, W[, C]) in the file's input encoding; the first 64 are used.

    Raises:
        ModelError: onnxruntime cannot load the file, or a run does not finish.
    """
    model = reader.optimized(path)
    values = reader.values(model, images[:IMAGES])
    return [
        risk
        for node in model.graph.node
        for rows, weights in _products(node, values)
        if (risk := _risk(reader.name(node), rows, weights)).possible
    ]


def _products(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The matrix products of a kernel, one per group: uint8 (rows, features) and int8 (features, channels)."""
    place = integer_weights.WEIGHT.get(node.op_type)
    weights = values[node.input[place]] if place else np.zeros(0)
    activations = values[node.input[0]]
    if node.op_type == "DynamicQuantizeMatMul":
        activations = _quantized(activations)
    if weights.dtype != np.int8 or activations.dtype != np.uint8 or weights.ndim < 2:
        return
    ordered = integer_weights.in_order(node, weights)
    if ordered is None:
        return
    if node.op_type == "QLinearConv":
        groups = activations.shape[1] // weights.shape[1]
        for part, matrix in zip(np.split(activations, groups, 1), np.split(ordered, groups, 1), strict=True):
            yield _columns(node, part, weights.shape[2:], values[node.input[2]]), matrix
    elif ordered.ndim == 2:
        yield activations.reshape(-1, activations.shape[-1]), ordered
    else:
        rows = np.broadcast_to(activations, (*ordered.shape[:-2], *activations.shape[-2:]))
        yield from zip(rows.reshape(-1, *rows.shape[-2:]), ordered.reshape(-1, *ordered.shape[-2:]), strict=True)


def _quantized(activations: np.ndarray) -> np.ndarray:
    """float32 values as uint8 over their own range, as ONNX's DynamicQuantizeLinear defines it; the shape is kept."""
    low, high = min(float(activations.min()), 0.0), max(float(activations.max()), 0.0)
    step = (high - low) / 255 or 1.0
    return np.asarray(np.clip(np.rint(activations / step) + np.rint(-low / step), 0, 255), np.uint8)


def _columns(node: onnx.NodeProto, images: np.ndarray, kernel: tuple[int, ...], border: np.ndarray) -> np.ndarray:
    """Images (N, C, *size) as rows (N * positions, pixels of the kernel * C): im2col for a convolution."""
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    axes = tuple(range(2, images.ndim))
    steps, spread = (attributes.get(name, [1] * len(axes)) for name in ("strides", "dilations"))
    pads = attributes.get("pads", [0] * 2 * len(axes))
    sides = ((0, 0), (0, 0), *zip(pads[: len(axes)], pads[len(axes) :], strict=True))
    padded = np.pad(images, sides, constant_values=int(border))
    reach = tuple((size - 1) * gap + 1 for size, gap in zip(kernel, spread, strict=True))
    kept = (slice(None, None, step) for step in (1, 1, *steps, *spread))
    rows = np.moveaxis(sliding_window_view(padded, reach, axes)[tuple(kept)], 1, -1)
    return rows.reshape(np.prod(rows.shape[: images.ndim - 1]), -1)


def _risk(name: str, rows: np.ndarray, weights: np.ndarray) -> Saturation:
    rows = rows[:: -(-len(rows) // ROWS)]
    first, second = (part.astype(np.int32) for part in integer_weights.pairs(weights))
    pairs, channels = np.nonzero(integer_weights.too_large(first, second))
    saturated = 0
    for pair, channel in zip(pairs, channels, strict=True):
        sums = rows[:, 2 * pair] * first[pair, channel] + rows[:, 2 * pair + 1] * second[pair, channel]
        saturated += int(((sums > HIGHEST) | (sums < LOWEST)).sum())
    return Saturation(
        layer=name, possible=len(pairs) / max(first.size, 1), share=saturated / max(first.size * len(rows), 1)
    )
