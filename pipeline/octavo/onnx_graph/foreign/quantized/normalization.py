"""What scales and shifts the channels behind a layer with integer weights becomes a part of its scales and its bias.

Batch normalization is such a step. PyTorch's training writes three: it multiplies the weights before it rounds them,
divides behind the convolution, and normalizes. Together these have no effect on the scale, which then stays as it is.
The integers stay in any case, apart from their sign in channels that are turned around. Otherwise the layer would
compute in float, because its output has no range.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.canonicalize import drop_unread
from octavo.onnx_graph.foreign.quantized import biases, stored
from octavo.onnx_graph.integer_ranges import along
from octavo.onnx_graph.rewrites.linear_folding import Affine, Channels, affine

NONE = 1e-5
"""Relative change of a scale that float32 rounding explains."""


def fold(model: onnx.ModelProto) -> int:
    """Fold the steps behind each convolution and Gemm into it, in place.

    Returns:
        The number of layers whose weights have other scales now.
    """
    known, readers, shapes = qdq.constants(model), qdq.consumers(model), qdq.shapes(model)
    arrays, constants = qdq.initializers(model), stored.dequantized_constants(model)
    ends, rescaled = {value.name for value in model.graph.output}, 0
    for layer in [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]:
        source, rank = constants.get(layer.input[qdq.WEIGHT_INPUT]), len(shapes.get(layer.output[0], ()))
        if source is None or rank < 2:
            continue
        count = arrays[source.input[0]].shape[qdq.OUTPUT_AXIS[layer.op_type]]
        channels = Channels(count, 1 - rank if layer.op_type == "Conv" else -1, rank)
        whole, result = Affine(np.ones(count), np.zeros(count)), layer.output[0]
        steps: list[onnx.NodeProto] = []
        while len(following := readers.get(result, [])) == 1 and result not in ends:
            step = affine(following[0], result, channels, known)
            if step is None:
                break
            whole, result, steps = step.after(whole), following[0].output[0], [*steps, following[0]]
        bias = _bias(layer, constants, arrays)
        if not steps or bias is None or not _can_take(arrays, source, whole.scale):
            continue
        rescaled += _apply(model, layer, source, whole, bias)
        layer.output[0] = result
        for step in steps:
            model.graph.node.remove(step)
    drop_unread(model.graph)
    return rescaled


def _can_take(arrays: Mapping[str, np.ndarray], source: onnx.NodeProto, factor: np.ndarray) -> bool:
    """Whether integers can keep their magnitude: some turn their sign, and the smallest int8 has no opposite.

    Args:
        arrays: the constants.
        source: the DequantizeLinear of the weights.
        factor: of each channel's scale.
    """
    integers, _, zero = (arrays[name] for name in source.input)
    if not (factor != 0).all():
        return False
    if (factor > 0).all():
        return True
    return integers.dtype == np.int8 and not zero.any() and bool((integers != np.iinfo(np.int8).min).all())


def _apply(
    model: onnx.ModelProto, layer: onnx.NodeProto, source: onnx.NodeProto, step: Affine, bias: np.ndarray
) -> bool:
    """Give a layer other scales and another bias, in place; whether the scales are others.

    Args:
        model: the graph.
        layer: the layer.
        source: the DequantizeLinear of its weights.
        step: what was behind it.
        bias: as real numbers.
    """
    name, arrays = layer.output[0], qdq.initializers(model)
    inputs = list(layer.input[:2])
    changed = bool((np.abs(step.scale - 1) > NONE).any())
    if changed:
        integers, scale, zero = (arrays[each] for each in source.input)
        axis = qdq.OUTPUT_AXIS[layer.op_type] % integers.ndim
        parts = {
            "integers": (integers * along(np.sign(step.scale), axis, integers.ndim)).astype(integers.dtype),
            "scale": (np.broadcast_to(scale, step.scale.shape) * np.abs(step.scale)).astype(np.float32),
            "zero": np.broadcast_to(zero, step.scale.shape),
        }
        inputs[1] = f"{name}/scaled"
        constants = [qdq.add_constant(model, f"{name}/scaled/{part}", array) for part, array in parts.items()]
        made = helper.make_node("DequantizeLinear", constants, [inputs[1]], axis=axis)
        model.graph.node.insert(list(model.graph.node).index(source), made)
    added = bias * step.scale + step.shift
    layer.input[:] = [*inputs, qdq.add_constant(model, f"{name}/shifted", added)]
    return changed


def _bias(
    layer: onnx.NodeProto, constants: Mapping[str, onnx.NodeProto], arrays: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    """The bias as real numbers; None if it is computed.

    Args:
        layer: the layer.
        constants: from `stored.dequantized_constants`.
        arrays: the constants.
    """
    if not qdq.has_bias(layer):
        return np.zeros(1)
    name = layer.input[qdq.BIAS_INPUT]
    found = biases.real(constants[name], arrays) if name in constants else arrays.get(name)
    return None if found is None else found.astype(np.float64)
