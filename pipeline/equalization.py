"""Cross-layer equalization: neighbouring layers share the work of scaling a channel, so that both round less.

Where a convolution's output reaches another convolution through ReLUs and operators that move values only, a channel
can be divided by any positive number in the first and multiplied by it in the second. Source: M. Nagel et al.,
Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.1.
"""

from collections.abc import Collection, Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from pipeline import qdq

SCALABLE = ("Relu", "MaxPool")
"""Operators f with f(s x) = s f(x) for every s above 0, channel by channel."""
ROUNDS = 20


def equalize(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same float network with equal weight ranges on both sides of every channel that allows it."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    weights = {name: array.astype(np.float64) for name, array in qdq.initializers(result).items()}
    pairs = list(_pairs(result, weights))
    for _ in range(ROUNDS):
        for first, second in pairs:
            _share(weights, first, second)
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


def _share(weights: dict[str, np.ndarray], first: onnx.NodeProto, second: onnx.NodeProto) -> None:
    before, after = weights[first.input[1]], weights[second.input[1]]
    channels = len(before)
    depthwise = after.shape[1] == 1 and after.shape[0] == channels
    if not depthwise and after.shape[1] != channels:
        return
    reach = np.abs(before).reshape(channels, -1).max(1)
    needs = np.abs(after if depthwise else np.moveaxis(after, 1, 0)).reshape(channels, -1).max(1)
    scale = np.where((reach > 0) & (needs > 0), np.sqrt(reach / np.where(needs > 0, needs, 1)), 1)
    weights[first.input[1]] = before / scale[:, None, None, None]
    if len(first.input) > qdq.BIAS_INPUT:
        weights[first.input[2]] = weights[first.input[2]] / scale
    weights[second.input[1]] = after * (scale[:, None, None, None] if depthwise else scale[None, :, None, None])
