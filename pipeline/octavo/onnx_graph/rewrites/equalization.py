"""Cross-layer equalization: neighbouring layers share the work of scaling a channel, so that both round less.

Where a convolution's output reaches another convolution through ReLUs and operators that move values only, a channel
can be divided by any positive number in the first and multiplied by it in the second. Source: M. Nagel et al.,
Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
"""

from collections.abc import Collection, Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from octavo.onnx_graph import qdq

SCALABLE = ("Relu", "MaxPool")
"""Operators f with f(s x) = s f(x) for every s above 0, channel by channel."""
ROUNDS = 20
NEGLIGIBLE = 1e-5
"""Share of a layer's largest weight below which a channel counts as dead: scaling it up scales its bias up, too."""
LARGEST = 1e4
"""Factor by which a channel is scaled at most, in all rounds together."""


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
    """Convolutions of which the first alone feeds the second; each weight must have one reader."""
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
    """Divide the channels of `first` by factors and multiply those of `second` by them, in place of `weights`.

    Args:
        weights: by name.
        first: a convolution that `second` alone reads.
        second: a convolution.
        before_now: (channels,) factors of earlier rounds, multiplied.

    Returns:
        (channels,) the factors: 1 where a channel is left alone, since it is near dead or its bias would become the
        layer's largest.
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
