"""The weights and biases stored in a LiteRT file: the stored tensors that its operators read as data.

`octavo.backends.operators` defines weights and biases.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.file import Code, File
from octavo.backends.litert.macs import FORMULAS
from octavo.backends.operators import Parameter
from octavo.project.files import damage

Type = schema.TensorType
FLOATS = {code for name, code in vars(Type).items() if name.startswith(("FLOAT", "BFLOAT")) and isinstance(code, int)}
WIDE = {Type.INT32, Type.INT64, Type.UINT32, Type.UINT64}
"""Integers that are biases if an operator adds them, and otherwise shapes, axes and indices."""
OTHERS = {Type.BOOL, Type.STRING, Type.COMPLEX64, Type.COMPLEX128, Type.RESOURCE, Type.VARIANT}
LSTM_BIASES = frozenset({12, 13, 14, 15, 17})
BIASES = {
    Code.CONV_2D: {2},
    Code.DEPTHWISE_CONV_2D: {2},
    Code.FULLY_CONNECTED: {2},
    Code.CONV_3D: {2},
    Code.TRANSPOSE_CONV: {3},
    Code.CONV_3D_TRANSPOSE: {3},
    Code.UNIDIRECTIONAL_SEQUENCE_LSTM: LSTM_BIASES,
    Code.BIDIRECTIONAL_SEQUENCE_LSTM: LSTM_BIASES | {29, 30, 31, 32, 34},
    Code.RNN: {3},
    Code.UNIDIRECTIONAL_SEQUENCE_RNN: {3},
    Code.BIDIRECTIONAL_SEQUENCE_RNN: {3, 7},
    Code.SVDF: {3},
}
"""Operator -> the positions of its bias inputs."""
ADDENDS = {Code.ADD, Code.SUB}
"""Operators that add any two inputs. A vector that is added to every value of a channel is a bias."""
SETTINGS = {Code.PADV2: {2}, Code.ONE_HOT: {2, 3}, Code.FAKE_QUANT: {1, 2}}
"""Operator -> the positions of inputs that are settings, although their type and size could be those of weights."""
THROUGH = {
    Code.QUANTIZE,
    Code.DEQUANTIZE,
    Code.CAST,
    Code.DENSIFY,
    Code.RESHAPE,
    Code.TRANSPOSE,
    Code.EXPAND_DIMS,
    Code.SQUEEZE,
}
"""Operators that only convert or move values."""


@damage.told
def parameters(path: Path) -> list[Parameter]:
    """The weights and biases stored in the file. A buffer that several tensors share counts once.

    Raises:
        ModelError: the file cannot be read.
    """
    file = File(path)
    found: dict[int, Parameter] = {}
    for graph in file.graphs:
        for buffer, parameter in _read(file, graph):
            if buffer not in found or found[buffer].kind == "bias":
                found[buffer] = parameter
    return list(found.values())


def _read(file: File, graph: schema.SubGraphT) -> Iterator[tuple[int, Parameter]]:
    """For every reader of a stored tensor: the tensor's buffer, and the parameter."""
    for operator in graph.operators:
        code = file.code(operator)
        if code in THROUGH or file.bodies(operator):
            continue
        for place, index in enumerate(operator.inputs):
            tensor = file.stored_behind(graph, int(index), THROUGH)
            kind = None if tensor is None else _kind(code, operator, place, tensor)
            if tensor is not None and kind is not None:
                integer, size = tensor.type not in FLOATS, file.stored_bytes(tensor)
                elements = prod(map(int, tensor.shape))
                yield tensor.buffer, Parameter(kind, elements, size, integer)  # type: ignore[arg-type]


def _kind(code: int, operator: schema.OperatorT, place: int, tensor: schema.TensorT) -> str | None:
    """What the tensor is for the operator: `weight`, `bias`, or None for neither."""
    several = [size for size in tensor.shape if size > 1]
    if place in BIASES.get(code, ()) or (code == Code.LSTM and place in _lstm_biases(operator)):
        return "bias"
    if place in SETTINGS.get(code, ()) or tensor.type in WIDE | OTHERS or not (several or code in FORMULAS):
        return None
    return "bias" if code in ADDENDS and len(several) == 1 else "weight"


def _lstm_biases(operator: schema.OperatorT) -> frozenset[int]:
    """The basic kernel has 5 inputs, and the fourth is its bias."""
    return frozenset({3}) if len(operator.inputs) == 5 else LSTM_BIASES
