"""Cross-layer equalization: scale the channels between two layers so that quantization rounds both less.

If a convolution's output reaches another convolution only through ReLUs and operators that move values, a channel can
be divided by a positive number in the first and multiplied by it in the second. Source: M. Nagel et al., Data-Free
Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
"""

from collections.abc import Collection, Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from octavo.onnx_graph import qdq

SCALABLE = ("Relu", "MaxPool")
"""Operators f with f(s x) = s f(x) for every s > 0, channel by channel."""
ROUNDS = 20
NEGLIGIBLE = 1e-5
"""Share of a layer's largest weight below which a channel counts as dead. Scaling it up would scale its bias up too."""
LARGEST = 1e4
"""Limit for the factor of a channel, over all rounds."""


def equalize(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same float network with equal weight ranges on both sides of every channel that allows it."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    weights = {name: array.astype(np.float64) for name, array in qdq.initializers(result).items()}
    pairs = list(_pairs(result, weights))
    scaled = [np.ones(len(weights[first.input[1]])) for first, _ in pairs]
    for _ in range(ROUNDS):
        for place, (first, second) in enumerate(pairs):
            scaled[place] = scaled[place] * _share(weights, first, second, scaled[place])
    changed = {name for first, second in pairs for name in (*first.input[1:], *second.input[1:])}
    for tensor in result.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].astype(np.float32), tensor.name))
    return result


def applies(model: onnx.ModelProto) -> bool:
    """Whether there is a channel to equalize."""
    return any(True for _ in _pairs(model, qdq.initializers(model)))


def _pairs(model: onnx.ModelProto, weights: Collection[str]) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Pairs of convolutions in which only the second reads the first. Each weight must have one reader."""
    readers = qdq.consumers(model)
    convolutions = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and all(name in weights and len(readers[name]) == 1 for name in node.input[1:])
    ]
    for first in convolutions:
        following = readers.get(first.output[0], [])
        while len(following) == 1 and following[0].op_type in SCALABLE:
            following = readers.get(following[0].output[0], [])
        if len(following) == 1 and any(following[0] is other for other in convolutions):
            yield first, following[0]


def _share(
    weights: dict[str, np.ndarray], first: onnx.NodeProto, second: onnx.NodeProto, before_now: np.ndarray
) -> np.ndarray:
    """Divide the channels of `first` by factors and multiply those of `second` by them, in place.

    Args:
        weights: arrays by name; changed.
        first: a convolution that only `second` reads.
        second: a convolution.
        before_now: (channels,) product of the factors of earlier rounds.

    Returns:
        (channels,) the factors. It is 1 for a channel that is left alone, because it is nearly dead or its bias would
        become the largest of the layer.
    """
    before, after = weights[first.input[1]], weights[second.input[1]]
    channels = len(before)
    depthwise = after.shape[1] == 1 and after.shape[0] == channels
    if not depthwise and after.shape[1] != channels:
        return np.ones(channels)
    reach = np.abs(before).reshape(channels, -1).max(1)
    needs = np.abs(after if depthwise else np.moveaxis(after, 1, 0)).reshape(channels, -1).max(1)
    alive = (reach > NEGLIGIBLE * reach.max()) & (needs > NEGLIGIBLE * needs.max())
    scale = np.where(alive, np.sqrt(reach / np.where(alive, needs, 1)), 1)
    scale = np.clip(scale * before_now, 1 / LARGEST, LARGEST) / before_now
    bias = weights[first.input[2]] if qdq.has_bias(first) else np.zeros(channels)
    largest = np.abs(bias).max()
    scale = np.where(np.abs(bias) / scale > largest, np.abs(bias) / max(largest, 1e-30), scale)
    ones = [1] * (before.ndim - 1)
    weights[first.input[1]] = before / scale.reshape(-1, *ones)
    if qdq.has_bias(first):
        weights[first.input[2]] = bias / scale
    weights[second.input[1]] = after * (scale.reshape(-1, *ones) if depthwise else scale.reshape(1, -1, *ones[1:]))
    return scale
