"""Store weights of a LiteRT file as per-channel int8 for float compute, with a Dequantize that runs once.

LiteRT's converter leaves weights in float if they have fewer than 1,024 elements, or if their operator has no integer
kernel, for example a 3-D convolution. Such operators compute in float, but the file can still store int8.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.tensors import code, read, write
from octavo.onnx_graph import qdq

Code, Type = schema.BuiltinOperator, schema.TensorType
OUTPUT_AXIS = {
    Code.CONV_2D: 0,
    Code.DEPTHWISE_CONV_2D: 3,
    Code.FULLY_CONNECTED: 0,
    Code.TRANSPOSE_CONV: 0,
    Code.CONV_3D: 4,
    Code.CONV_3D_TRANSPOSE: 3,
    Code.BATCH_MATMUL: -1,
}
"""Operators whose second input is weights -> axis of the output channels in the weights."""
WEIGHTS = 1
Shared = dict[tuple[int, tuple[int, ...], int], tuple[int, schema.QuantizationParametersT]]
"""(Float buffer, shape, axis) -> (buffer of the integers, their scales and zero points)."""
PER_CHANNEL = 5
"""The first version of Dequantize that supports one scale per channel."""


def store_as_integers(content: bytes) -> bytes:
    """Return the file with all float weights of these operators as int8; the same bytes if there are none.

    Weights that several operators read are stored once. An operator that reads the same tensor, but not as weights,
    keeps the float values.
    """
    model = read(content)
    shared: Shared = {}
    changed = [_store(model, graph, shared) for graph in model.subgraphs]
    if not any(changed):
        return content
    _empty_unread_buffers(model)
    return write(model)


def compute_in_float(content: bytes, kinds: Collection[int]) -> bytes:
    """Return the file with all operators of these kinds computing in float instead of quantizing their input.

    Their weights stay int8. The bytes are the same if there is no such operator.

    Args:
        content: a LiteRT file.
        kinds: codes of builtin operators whose first input is data and whose second input is weights.
    """
    model, real = read(content), dict[tuple[int, int], int]()
    for place, graph in enumerate(model.subgraphs):
        for operator in list(graph.operators or ()):
            if code(model, operator) not in kinds or not _quantizes_its_input(graph, operator):
                continue
            stored = int(operator.inputs[WEIGHTS])
            if (place, stored) not in real:
                real[place, stored] = _append(graph, graph.tensors[stored])
                _insert_dequantize(model, graph, stored, real[place, stored])
            operator.inputs = [operator.inputs[0], real[place, stored], *operator.inputs[WEIGHTS + 1 :]]
    return write(model) if real else content


def _quantizes_its_input(graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    data, weights = (graph.tensors[index].type for index in operator.inputs[: WEIGHTS + 1])
    return bool((data, weights) == (Type.FLOAT32, Type.INT8))


def _store(model: schema.ModelT, graph: schema.SubGraphT, shared: Shared) -> bool:
    """Store the float weights of one graph as int8, in place.

    Args:
        model: the file.
        graph: one of its graphs.
        shared: the integers made so far; new ones are added.

    Returns:
        Whether the graph has float weights.
    """
    readers: dict[tuple[int, int], list[schema.OperatorT]] = defaultdict(list)
    for operator, index, axis in _float_weights(model, graph):
        readers[index, axis].append(operator)
    for (index, axis), operators in readers.items():
        tensor = graph.tensors[index]
        key = (tensor.buffer, tuple(map(int, tensor.shape)), axis)
        if key not in shared:
            shared[key] = _integers(model, tensor, axis)
        real = _append(graph, tensor)
        for operator in operators:
            operator.inputs = [*operator.inputs[:WEIGHTS], real, *operator.inputs[WEIGHTS + 1 :]]
        stored = index if index not in _read(graph) else _append(graph, tensor)
        integers = graph.tensors[stored]
        integers.type, (integers.buffer, integers.quantization) = Type.INT8, shared[key]
        _insert_dequantize(model, graph, stored, real)
    return bool(readers)


def _read(graph: schema.SubGraphT) -> set[int]:
    """Indices of the tensors that an operator reads or that are outputs of the graph."""
    read = {int(index) for operator in graph.operators for index in operator.inputs}
    return read | {int(index) for index in graph.outputs}


def _append(graph: schema.SubGraphT, tensor: schema.TensorT) -> int:
    """Append a float tensor with the shape and the name of another one, and return its index."""
    made = schema.TensorT()
    made.shape, made.type, made.name = tensor.shape, Type.FLOAT32, tensor.name + b"/real"
    graph.tensors.append(made)
    return len(graph.tensors) - 1


def _float_weights(model: schema.ModelT, graph: schema.SubGraphT) -> Iterator[tuple[schema.OperatorT, int, int]]:
    """Operators whose weights are float constants, with the weights' tensor index and axis of output channels."""
    for operator in graph.operators or ():
        kind = code(model, operator)
        if kind not in OUTPUT_AXIS or len(operator.inputs) <= WEIGHTS:
            continue
        index = int(operator.inputs[WEIGHTS])
        tensor = graph.tensors[index]
        if tensor.type == Type.FLOAT32 and model.buffers[tensor.buffer].data is not None:
            transposed = kind == Code.BATCH_MATMUL and operator.builtinOptions.adjY
            yield operator, index, (-2 if transposed else OUTPUT_AXIS[kind]) % len(tensor.shape)


def _integers(model: schema.ModelT, tensor: schema.TensorT, axis: int) -> tuple[int, schema.QuantizationParametersT]:
    """Quantize a tensor to the nearest integers in a new buffer.

    Args:
        model: the file.
        tensor: float weights.
        axis: of the output channels.

    Returns:
        Index of the buffer, and scales and zero points.
    """
    weights = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)
    grid = qdq.nearest(weights, axis)
    buffer, quantization = schema.BufferT(), schema.QuantizationParametersT()
    buffer.data = np.frombuffer(grid.integers.tobytes(), np.uint8)
    quantization.scale, quantization.zeroPoint = grid.scale, np.zeros(len(grid.scale), np.int64)
    quantization.quantizedDimension = axis
    model.buffers.append(buffer)
    return len(model.buffers) - 1, quantization


def _insert_dequantize(model: schema.ModelT, graph: schema.SubGraphT, stored: int, real: int) -> None:
    operator = schema.OperatorT()
    operator.opcodeIndex = _dequantize_code(model)
    operator.inputs, operator.outputs = [stored], [real]
    graph.operators.insert(0, operator)


def _dequantize_code(model: schema.ModelT) -> int:
    """Index of per-channel Dequantize among the model's operator codes. It is added if it is missing."""
    for place, known in enumerate(model.operatorCodes):
        if max(known.builtinCode, known.deprecatedBuiltinCode) == Code.DEQUANTIZE:
            known.version = max(known.version, PER_CHANNEL)
            return place
    added = schema.OperatorCodeT()
    added.builtinCode = added.deprecatedBuiltinCode = Code.DEQUANTIZE
    added.version = PER_CHANNEL
    model.operatorCodes.append(added)
    return len(model.operatorCodes) - 1


def _empty_unread_buffers(model: schema.ModelT) -> None:
    """Remove the data of buffers that no tensor uses any more."""
    held = {int(tensor.buffer) for graph in model.subgraphs for tensor in graph.tensors}
    held |= {int(item.buffer) for item in model.metadata or ()}
    for place, buffer in enumerate(model.buffers):
        if place not in held:
            buffer.data = None
