"""Where INT8 goes wrong on x86 CPUs without VNNI: sums of two products that leave 16 bits.

On AVX2 and AVX-512 onnxruntime multiplies uint8 activations by int8 weights with `vpmaddubsw`, which adds each pair of
neighbouring products into 16 bits and cuts off what does not fit (microsoft/onnxruntime, core/mlas/lib/amd64,
`MultiplyAccumulateCellU8S8Avx512Core`); VNNI and ARM add in 32 bits. Neighbours are neighbours in the sum: input
features of a dense layer; in a convolution, whose images are laid out channels last, first the channels of one pixel
of the kernel, then the next pixel. Depthwise convolutions have a kernel of their own, which widens first.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view

from pipeline.findings import Saturation
from pipeline.operators import onnx as reader

WEIGHT = {"QLinearConv": 3, "QGemm": 3, "QLinearMatMul": 3, "MatMulIntegerToFloat": 1, "MatMulInteger": 1}
"""Where the int8 weights of an integer kernel stand among its inputs; uint8 activations come first."""
LOWEST, HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
IMAGES = 64
"""So many are enough, and every value of the graph is held for each."""
ROWS = 4096
"""Places of the images that a layer is measured at, evenly spread over all of them."""


def measure(path: Path, images: np.ndarray) -> list[Saturation] | None:
    """Layers of a model file whose weights can saturate, and how often they do on `images`, as its input takes them.

    None for LiteRT, whose kernels multiply int8 by int8, widened first.
    """
    if path.suffix != ".onnx":
        return None
    model = reader.optimized(path)
    values = reader.values(model, images[:IMAGES])
    return [
        risk
        for node in model.graph.node
        for rows, weights in _products(node, values)
        if (risk := _risk(reader.name(node), rows, weights)).possible
    ]


def _products(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The matrix products that the kernel forms, one a group: (places, features) uint8 by (features, channels) int8."""
    place = WEIGHT.get(node.op_type)
    weights = values[node.input[place]] if place else np.zeros(0)
    activations = values[node.input[0]]
    if weights.dtype != np.int8 or activations.dtype != np.uint8:
        return
    if node.op_type != "QLinearConv":
        yield activations.reshape(-1, activations.shape[-1]), weights
    elif weights.shape[1] > 1 or activations.shape[1] == 1:
        groups = activations.shape[1] // weights.shape[1]
        for part, kernel in zip(np.split(activations, groups, 1), np.split(weights, groups), strict=True):
            rows = _columns(node, part, kernel.shape[2:], values[node.input[2]])
            yield rows, kernel.transpose(2, 3, 1, 0).reshape(-1, len(kernel))


def _columns(node: onnx.NodeProto, images: np.ndarray, kernel: tuple[int, int], border: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) as rows (N * H' * W', h * w * C) for a kernel of (h, w)."""
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
    sides = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    padded = np.pad(images, sides, constant_values=int(border))
    windows = sliding_window_view(padded, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]
    rows = windows.transpose(0, 2, 3, 4, 5, 1)
    return rows.reshape(np.prod(rows.shape[:3]), -1)


def _risk(name: str, rows: np.ndarray, weights: np.ndarray) -> Saturation:
    rows = rows[:: -(-len(rows) // ROWS)]
    length = len(weights) // 2 * 2
    first, second = weights[:length:2].astype(np.int32), weights[1:length:2].astype(np.int32)
    highest = 255 * (np.maximum(first, 0) + np.maximum(second, 0))
    lowest = 255 * (np.minimum(first, 0) + np.minimum(second, 0))
    pairs, channels = np.nonzero((highest > HIGHEST) | (lowest < LOWEST))
    saturated = 0
    for pair, channel in zip(pairs, channels, strict=True):
        sums = rows[:, 2 * pair] * first[pair, channel] + rows[:, 2 * pair + 1] * second[pair, channel]
        saturated += int(((sums > HIGHEST) | (sums < LOWEST)).sum())
    return Saturation(
        layer=name, possible=len(pairs) / max(first.size, 1), share=saturated / max(first.size * len(rows), 1)
    )
