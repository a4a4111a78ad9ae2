"""One form for what a quantized network stores: each quantized constant is integers behind one DequantizeLinear.

Exporters write weights in float before a QuantizeLinear, in integers, clipped to fewer bits, or transposed behind the
DequantizeLinear. The values stay the same, bit for bit.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.canonicalize import drop_unread
from octavo.onnx_graph.foreign.quantized.refusals import PAIR
from octavo.onnx_graph.integer_ranges import along


def store(model: onnx.ModelProto) -> None:
    """Bring the quantized constants of an accepted network into this form, in place.

    Scales and zero points of one element become scalars, and zero points are always written: without them onnxruntime
    computes in float. The weights of a Gemm are transposed as recipes expect them.
    """
    _write_parameters(model)
    _fold_quantizers(model)
    _fold_transpositions(model)
    drop_unread(model.graph)


def rounded(values: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int) -> np.ndarray:
    """What a QuantizeLinear makes of float32 `values`.

    Args:
        values: any shape.
        scale: float32, a scalar or one for each channel.
        zero: int8 or uint8, likewise.
        axis: of the channels.
    """
    limits = np.iinfo(zero.dtype)
    steps = np.rint(values / along(scale, axis, values.ndim)) + along(zero, axis, values.ndim).astype(np.float32)
    return np.clip(steps, limits.min, limits.max).astype(zero.dtype)


def axis_of(node: onnx.NodeProto) -> int:
    return int(qdq.attribute(node, "axis", 1))


def dequantized_constants(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The DequantizeLinear of each stored constant, by its output."""
    known = qdq.constants(model)
    return {
        node.output[0]: node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in known
    }


def quantizer(name: str, makers: dict[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """The QuantizeLinear that the integers `name` come from, also through a Clip and operators that only move values.

    `makers` are from `qdq.producers`.
    """
    while name in makers and makers[name].op_type in ("Clip", *qdq.MOVERS):
        name = makers[name].input[0]
    found = makers.get(name)
    return found if found is not None and found.op_type == "QuantizeLinear" else None


def _write_parameters(model: onnx.ModelProto) -> None:
    """Give each operator of a pair a scale and a zero point in the common form, in place."""
    arrays, makers = qdq.initializers(model), qdq.producers(model)
    kinds = {node.output[0]: _integer_type(node, arrays, makers) for node in model.graph.node if node.op_type in PAIR}
    for node in [node for node in model.graph.node if node.op_type in PAIR]:
        parts = {"scale": arrays[node.input[1]]}
        if kinds[node.output[0]] != np.int32:
            written = len(node.input) > 2 and node.input[2]
            parts["zero"] = arrays[node.input[2]] if written else np.zeros(parts["scale"].shape, kinds[node.output[0]])
        for item in [item for item in node.attribute if item.name != "axis"]:
            node.attribute.remove(item)
        names = [
            qdq.add_constant(model, f"{node.output[0]}/{part}", array.reshape(()) if array.size == 1 else array)
            for part, array in parts.items()
        ]
        node.input[:] = [node.input[0], *names]


def _integer_type(
    node: onnx.NodeProto, arrays: dict[str, np.ndarray], makers: dict[str, onnx.NodeProto]
) -> np.dtype[Any]:
    """Type of the integers that an operator of a pair makes or reads.

    Args:
        node: the operator.
        arrays: the constants.
        makers: from `qdq.producers`.
    """
    if node.input[0] in arrays and node.op_type == "DequantizeLinear":
        return arrays[node.input[0]].dtype
    source = node if node.op_type == "QuantizeLinear" else quantizer(node.input[0], makers)
    for each in (node, source):
        if each is not None and len(each.input) > 2 and each.input[2]:
            return arrays[each.input[2]].dtype
    asked = int(qdq.attribute(source, "output_dtype", 0)) if source is not None else 0
    return helper.tensor_dtype_to_np_dtype(asked or TensorProto.UINT8)


def _fold_quantizers(model: onnx.ModelProto) -> None:
    """Replace the QuantizeLinear of each constant, and the Clip behind it, by integers, in place."""
    arrays = qdq.initializers(model)
    for node in list(model.graph.node):
        inputs = [arrays.get(name) for name in node.input if name]
        if node.op_type == "QuantizeLinear" and node.input[0] in arrays:
            values, scale, zero = (arrays[name] for name in node.input)
            found = rounded(values, scale, zero, axis_of(node))
        elif node.op_type == "Clip" and inputs[0] is not None and inputs[0].dtype in (np.int8, np.uint8):
            low, high = bounds(node, arrays)
            found = np.clip(inputs[0], low, high)
        else:
            continue
        model.graph.node.remove(node)
        arrays[node.output[0]] = found
        qdq.add_constant(model, node.output[0], found)


def bounds(clip: onnx.NodeProto, arrays: Mapping[str, np.ndarray]) -> Iterator[np.ndarray | None]:
    """The two bounds of a Clip; None for one that it does not have.

    Args:
        clip: the operator.
        arrays: the constants.
    """
    names = (*clip.input[1:], "", "")[:2]
    yield from (arrays[name] if name else None for name in names)


def _fold_transpositions(model: onnx.ModelProto) -> None:
    """Transpose stored integers where the graph transposes what they stand for, in place."""
    arrays = qdq.initializers(model)
    for node in list(model.graph.node):
        places = [0] if node.op_type == "Transpose" else [qdq.WEIGHT_INPUT] if _is_transposed(node) else []
        stored = dequantized_constants(model)
        for place in places:
            source = stored.get(node.input[place])
            if source is None:
                continue
            integers = arrays[source.input[0]]
            perm = [int(each) for each in qdq.attribute(node, "perm", range(integers.ndim)[::-1])]
            if node.op_type == "Gemm":
                perm = [1, 0]
            result = node.output[0] if node.op_type == "Transpose" else f"{node.output[0]}/weights"
            name = qdq.add_constant(model, f"{result}/integers", integers.transpose(perm))
            arrays[name] = integers.transpose(perm)
            axis = perm.index(axis_of(source) % integers.ndim)
            made = helper.make_node("DequantizeLinear", [name, *source.input[1:]], [result], axis=axis)
            model.graph.node.insert(list(model.graph.node).index(source), made)
            if node.op_type == "Transpose":
                model.graph.node.remove(node)
            else:
                node.input[place] = result
                node.attribute.remove(next(item for item in node.attribute if item.name == "transB"))


def _is_transposed(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gemm" and bool(qdq.attribute(node, "transB", 0))
