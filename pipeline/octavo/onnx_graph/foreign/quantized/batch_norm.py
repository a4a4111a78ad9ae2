"""Batch normalization behind a convolution with integer weights: it becomes a part of their scales and of the bias.

The integers stay, apart from their sign in channels that the normalization turns around. Otherwise the convolution
would give floats.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import biases, stored

EPSILON = 1e-5
"""The default of the operator."""


def fold(model: onnx.ModelProto) -> int:
    """Fold each BatchNormalization whose convolution nothing else reads, in place, and return their number."""
    arrays, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    ends, found = {value.name for value in model.graph.output}, 0
    for node in [node for node in model.graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(node.input[0])
        if conv is None or conv.op_type != "Conv" or len(readers[conv.output[0]]) > 1 or conv.output[0] in ends:
            continue
        if any(name not in arrays for name in node.input[1:]) or not _fold(model, conv, node, arrays):
            continue
        conv.output[0] = node.output[0]
        model.graph.node.remove(node)
        found += 1
    stored.drop_unread(model)
    return found


def _fold(
    model: onnx.ModelProto, conv: onnx.NodeProto, node: onnx.NodeProto, arrays: Mapping[str, np.ndarray]
) -> bool:
    """Change the weights and the bias of the convolution; whether that was possible.

    Args:
        model: the graph, changed in place.
        conv: the convolution.
        node: the BatchNormalization.
        arrays: the constants.
    """
    constants = stored.dequantized_constants(model)
    source = constants.get(conv.input[qdq.WEIGHT_INPUT])
    bias = _bias(conv, constants, arrays)
    if source is None or bias is None:
        return False
    integers, scale, zero = (arrays[name] for name in source.input)
    gain, shift, mean, variance = (arrays[name].astype(np.float64) for name in node.input[1:])
    factor = gain / np.sqrt(variance + qdq.attribute(node, "epsilon", EPSILON))
    turned = factor < 0
    if (zero.any() and turned.any()) or (factor == 0).any() or (integers[turned] == np.iinfo(integers.dtype).min).any():
        return False
    signs = np.where(turned, -1, 1).reshape(-1, *[1] * (integers.ndim - 1))
    parts = {
        "integers": (integers * signs).astype(integers.dtype),
        "scale": (np.broadcast_to(scale, factor.shape) * np.abs(factor)).astype(np.float32),
        "zero": np.broadcast_to(zero, factor.shape),
    }
    name = f"{node.output[0]}/weights"
    made = helper.make_node(
        "DequantizeLinear",
        [qdq.add_constant(model, f"{name}/{part}", array) for part, array in parts.items()],
        [name],
        axis=0,
    )
    model.graph.node.insert(list(model.graph.node).index(source), made)
    added = ((bias - mean) * factor + shift).astype(np.float32)
    conv.input[:] = [conv.input[0], name, qdq.add_constant(model, f"{name}/bias", added)]
    return True


def _bias(
    conv: onnx.NodeProto, constants: Mapping[str, onnx.NodeProto], arrays: Mapping[str, np.ndarray]
) -> np.ndarray | float | None:
    """The bias as real numbers; None if it is computed.

    Args:
        conv: the convolution.
        constants: from `stored.dequantized_constants`.
        arrays: the constants.
    """
    if not qdq.has_bias(conv):
        return 0.0
    name = conv.input[qdq.BIAS_INPUT]
    return biases.real(constants[name], arrays) if name in constants else arrays.get(name)
