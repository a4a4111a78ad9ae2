"""ONNX files: biases at the ends of int32 or beyond, weights in 8-bit integers with their scales, and fixed scales."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from octavo.onnx_graph import file_io, qdq
from octavo.onnx_graph.integer_ranges import Stored, StoredIntegers, is_at_an_end
from octavo.project.files import damage

BIASED = ("Conv", "ConvTranspose", "Gemm")
"""Operators whose float biases onnxruntime rounds to int32."""
BYTES = (np.int8, np.uint8)
INTEGER = {"QLinearConv": 0, "QLinearMatMul": -1, "QGemm": -1}
"""Operators with weights in integers, their scale and zero point in inputs 3 to 5, and the axis of these."""
GIVES = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6, "QGemm": 7}
"""Operators that give integers -> the position of their output's scale. QGemm without one gives floats."""
INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Graph:
    constants: Mapping[str, np.ndarray]
    makers: Mapping[str, onnx.NodeProto]
    readers: Mapping[str, list[onnx.NodeProto]]
    nodes: list[onnx.NodeProto]


@damage.told
def read(path: Path) -> StoredIntegers:
    """How many biases are cut off, the constants stored as 8-bit integers, and the scales fixed for other values.

    Raises:
        ModelError: the file cannot be read.
    """
    model = file_io.load(path)
    graph = Graph(qdq.initializers(model), qdq.producers(model), qdq.consumers(model), list(model.graph.node))
    constants = [*_dequantized(graph), *_direct(graph), *_cast(graph), *_multiplied(graph)]
    return StoredIntegers(_stored_biases(graph) + _float_biases(graph), constants, _steps(graph))


def _steps(graph: Graph) -> frozenset[float]:
    """Scales of the values that are quantized to a fixed scale, directly or by an operator that gives integers."""
    quantizing = [node for node in graph.nodes if node.op_type in GIVES and node.input[0] not in graph.constants]
    names = {name for node in quantizing for name in node.input[GIVES[node.op_type] :][:1]}
    scales = [graph.constants[name] for name in names if name in graph.constants]
    return frozenset(float(scale.item()) for scale in scales if scale.size == 1)


def _stored_biases(graph: Graph) -> int:
    """Elements of int32 constants at an end of the type."""
    read = [
        node.input[:1] if node.op_type == "DequantizeLinear" else node.input[6:]
        for node in graph.nodes
        if node.op_type in ("DequantizeLinear", *INTEGER)
    ]
    names = {name for inputs in read for name in inputs} & graph.constants.keys()
    biases = [graph.constants[name] for name in sorted(names)]
    return sum(int(np.count_nonzero(is_at_an_end(bias))) for bias in biases if bias.dtype == np.int32)


def _float_biases(graph: Graph) -> int:
    """Elements of float biases that leave int32 at the scale of their layer's products."""
    found = 0
    for node in graph.nodes:
        if node.op_type not in BIASED or len(node.input) <= qdq.BIAS_INPUT or not _is_rounded(node, graph):
            continue
        bias = graph.constants.get(node.input[qdq.BIAS_INPUT])
        scales = [_scale(name, graph) for name in node.input[:2]]
        if bias is not None and bias.dtype == np.float32 and scales[0] is not None and scales[1] is not None:
            steps = np.rint(bias.astype(np.float64) / (scales[0].astype(np.float64) * scales[1]))
            found += int(np.count_nonzero((steps > INT32.max) | (steps < INT32.min)))
    return found


def _is_rounded(node: onnx.NodeProto, graph: Graph) -> bool:
    """Whether the output goes into integers, through a ReLU or not: else the layer runs in float."""
    following = graph.readers.get(node.output[0], [])
    while len(following) == 1 and following[0].op_type in qdq.CLIPS:
        following = graph.readers.get(following[0].output[0], [])
    return any(reader.op_type == "QuantizeLinear" for reader in following)


def _scale(name: str, graph: Graph) -> np.ndarray | None:
    """The constant scale that a value is dequantized at, looking through operators that move values only."""
    while name in graph.makers and graph.makers[name].op_type in qdq.MOVERS:
        name = graph.makers[name].input[0]
    maker = graph.makers.get(name)
    return graph.constants.get(maker.input[1]) if maker and maker.op_type == "DequantizeLinear" else None


def _dequantized(graph: Graph) -> Iterator[Stored]:
    """Constants behind a DequantizeLinear."""
    for node in graph.nodes:
        integers = graph.constants.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        scale = graph.constants.get(node.input[1]) if integers is not None else None
        if integers is not None and scale is not None and integers.dtype in BYTES:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
            zero = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
            yield _stored(integers, scale, zero, axis)


def _direct(graph: Graph) -> Iterator[Stored]:
    """Constants that an operator reads as integers, with their scale beside them."""
    for node in graph.nodes:
        parts = [graph.constants.get(name) for name in node.input[3:6]] if node.op_type in INTEGER else []
        if len(parts) == 3 and parts[0] is not None and parts[1] is not None and parts[0].dtype in BYTES:
            yield _stored(parts[0], parts[1], parts[2], INTEGER[node.op_type])


def _cast(graph: Graph) -> Iterator[Stored]:
    """Constants that a Cast and a Mul turn back into float."""
    for node in graph.nodes:
        integers = graph.constants.get(node.input[0]) if node.op_type == "Cast" else None
        if integers is None or integers.dtype not in BYTES:
            continue
        for reader in graph.readers.get(node.output[0], []):
            factors = [graph.constants[name] for name in reader.input if name in graph.constants]
            if reader.op_type == "Mul" and factors:
                yield Stored(integers, factors[0], np.zeros_like(factors[0]))


def _multiplied(graph: Graph) -> Iterator[Stored]:
    """Constants of MatMulInteger, whose scale comes behind it: its output is cast, and multiplied by both scales."""
    for node in graph.nodes:
        integers = graph.constants.get(node.input[1]) if node.op_type == "MatMulInteger" else None
        scale = _scale_behind(node, graph) if integers is not None else None
        if integers is not None and scale is not None:
            zero = graph.constants.get(node.input[3]) if len(node.input) > 3 else None
            yield _stored(integers, scale, zero, integers.ndim - 1)


def _scale_behind(node: onnx.NodeProto, graph: Graph) -> np.ndarray | None:
    reader = node
    while reader is node or reader.op_type == "Cast":
        following = graph.readers.get(reader.output[0], [])
        if len(following) != 1:
            return None
        reader = following[0]
    factors = [graph.makers.get(name) for name in reader.input] if reader.op_type == "Mul" else []
    constants = [
        graph.constants.get(name) for maker in factors if maker and maker.op_type == "Mul" for name in maker.input
    ]
    return next((constant for constant in constants if constant is not None), None)


def _stored(integers: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, axis: int) -> Stored:
    """Scale and zero point along `axis`, in the integers' number of dimensions; those of blocks along it repeated."""
    offset = np.zeros_like(scale) if zero is None else zero
    if scale.ndim > 1:
        times = integers.shape[axis] // scale.shape[axis]
        return Stored(integers, np.repeat(scale, times, axis), np.repeat(offset, times, axis))
    shape = [-1 if place == axis % integers.ndim else 1 for place in range(integers.ndim)] if integers.ndim else []
    return Stored(integers, *(each.reshape(shape) if each.size > 1 else each.reshape(()) for each in (scale, offset)))
