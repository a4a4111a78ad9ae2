"""Which int8 weights can make onnxruntime's kernels saturate.

On x86 CPUs without VNNI, onnxruntime multiplies uint8 activations by int8 weights with `vpmaddubsw`. This instruction
adds each pair of neighbouring products in 16 bits, with saturation (microsoft/onnxruntime, core/mlas/lib/amd64,
`MultiplyAccumulateCellU8S8Avx512Core`). VNNI and ARM add in 32 bits.

Neighbours are next to each other in the order of the sum. In a dense layer, this is the order of the input features. In
a convolution, whose images have the channels last, it is all channels of one pixel of the kernel, then those of the
next pixel. Depthwise convolutions have a separate kernel, which widens the values first.

This module is saved with registered models (`octavo_mlflow.flavors.bundled_code`), so it imports nothing from Octavo.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIGHEST = np.iinfo(np.int16).max // 255
"""The largest sum of two neighbouring weights of equal sign whose products always fit into 16 bits: 128."""
WEIGHT = {
    **dict.fromkeys(("Conv", "MatMul", "Gemm", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"), 1),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QGemm"), 3),
}
"""Operators that onnxruntime runs in integers, in QDQ form or fused -> the position of their weights input."""
INTEGERS = (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8)
SMALL = (TensorProto.INT4, TensorProto.INT2)
"""Types whose values are too small to saturate, also after a cast to int8."""
Reader = tuple[onnx.NodeProto, int]
"""An operator, and the position of the input that reads the value."""


def in_order(node: onnx.NodeProto, weights: np.ndarray) -> np.ndarray | None:
    """The weights of `node` as (..., K, channels), with K in the order of the sum; None for a depthwise convolution."""
    attributes = _attributes(node)
    if "Conv" not in node.op_type:
        return weights.T if attributes.get("transB") else weights
    group = attributes.get("group", 1)
    if group == len(weights) and weights.shape[1] == 1:
        return None
    return weights.transpose(*range(2, weights.ndim), 1, 0).reshape(-1, len(weights))


def pairs(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the second weights of all pairs whose products are added in 16 bits.

    Takes the result of `in_order`, int8 (..., K, channels). Both results are int16 (..., K // 2, channels).
    """
    length = ordered.shape[-2] // 2 * 2
    return ordered[..., 0:length:2, :].astype(np.int16), ordered[..., 1:length:2, :].astype(np.int16)


def too_large(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which pairs can exceed 16 bits with some uint8 activations, bool, of the shape of `first` and `second`."""
    highest = np.maximum(first, 0) + np.maximum(second, 0)
    lowest = np.minimum(first, 0) + np.minimum(second, 0)
    return np.asarray((highest > HIGHEST) | (lowest < -HIGHEST))


def can_be_cut_off(model: onnx.ModelProto, in_float: bool, folder: Path = Path()) -> bool:
    """Whether some weights of `model` are so large that sums of their products may exceed 16 bits.

    If the order of the weights is unknown, every pair is checked. Unknown weights count as large.

    Args:
        model: with or without its external data.
        in_float: whether operators on dequantized values compute in float (`session.disable_quant_qdq`).
        folder: of the external data that are not loaded.
    """
    graph = model.graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    if model.functions or any(_hides_integers(node, stored) for node in graph.node):
        return True
    readers = _readers(graph)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.INT8:
            weights = numpy_helper.to_array(tensor, str(folder))
            if any(_is_large(weights, *reader) for reader in _multipliers(tensor.name, readers, in_float)):
                return True
    return False


def separate(graph: onnx.GraphProto) -> None:
    """Give each reader of int8 weights and zero points its own copy, in place. Nothing else changes.

    For exact sums, onnxruntime replaces such tensors. It fails if a replaced tensor has a second reader.
    """
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    integers = {name for name, data_type in stored.items() if data_type in (TensorProto.INT8, *SMALL)}
    readers, names, kept = _readers(graph), _fresh_names(graph), {value.name for value in graph.output}
    for node in graph.node:
        if _is_constant(node, stored, integers):
            integers.add(node.output[0])
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        nodes.append(node)
        name = node.output[0]
        for reader, place in readers.get(name, [])[name not in kept :] if name in integers else ():
            twin = onnx.NodeProto()
            twin.CopyFrom(node)
            twin.ClearField("name")  # onnxruntime refuses two nodes of the same name
            twin.output[0] = reader.input[place] = next(names)
            nodes.append(twin)
            for at, source in enumerate(twin.input):
                readers[source].append((twin, at))
    for tensor in [tensor for tensor in graph.initializer if tensor.name in integers]:
        for reader, place in readers.get(tensor.name, [])[1:]:
            copy = graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = reader.input[place] = next(names)
    ordered = onnx.GraphProto(node=reversed(nodes))
    graph.ClearField("node")
    graph.node.extend(ordered.node)


def _is_large(weights: np.ndarray, node: onnx.NodeProto, place: int) -> bool:
    """Whether some pair of these weights of `node` can exceed 16 bits."""
    if WEIGHT.get(node.op_type) == place and weights.ndim > 1:
        ordered = in_order(node, weights)
        return ordered is not None and bool(too_large(*pairs(ordered)).any())
    values = np.sort(weights, axis=None).astype(np.int16)
    return len(values) > 1 and bool(values[-2:].sum() > HIGHEST or values[:2].sum() < -HIGHEST)


def _multipliers(name: str, readers: dict[str, list[Reader]], in_float: bool) -> Iterator[Reader]:
    """Operators that may multiply the integers called `name`."""
    for node, place in readers.get(name, []):
        if node.op_type == "DequantizeLinear":
            yield from readers.get(node.output[0], []) if place == 0 and not in_float else ()
        elif node.op_type != "Cast" or _attributes(node)["to"] in INTEGERS:
            yield node, place


def _hides_integers(node: onnx.NodeProto, stored: Mapping[str, int]) -> bool:
    """Whether the operator may compute or contain int8 weights. `stored` has the types of the initializers."""
    attributes = _attributes(node)
    if any(isinstance(value, onnx.GraphProto) for value in attributes.values()):
        return True
    if node.op_type == "Constant":
        tensors = [value for value in attributes.values() if isinstance(value, TensorProto)]
        return any(tensor.data_type == TensorProto.INT8 for tensor in tensors)
    if node.op_type == "Cast":
        return attributes["to"] == TensorProto.INT8 and stored.get(node.input[0]) not in SMALL
    return node.op_type == "QuantizeLinear" and node.input[0] in stored


def _is_constant(node: onnx.NodeProto, stored: Mapping[str, int], integers: set[str]) -> bool:
    """Whether the operator computes one constant from `integers` and possibly from other stored values."""
    inputs = {name for name in node.input if name}
    known = all(name in stored or name in integers for name in inputs)
    return len(node.output) == 1 and known and not inputs.isdisjoint(integers)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _readers(graph: onnx.GraphProto) -> dict[str, list[Reader]]:
    """Value -> the operators that read it."""
    readers: dict[str, list[Reader]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, place))
    return readers


def _fresh_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that are not used by any value of the graph."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    return (name for name in map("copy/{}".format, count()) if name not in taken)
