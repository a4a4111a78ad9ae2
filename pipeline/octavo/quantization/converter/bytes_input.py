"""Let a LiteRT file take the bytes that its input encoding makes floats of: the same answers."""

import copy
from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.tensors import code, declare, metadata_of, read, write
from octavo.backends.predictor import Quantization
from octavo.data.input_encoding import KEY, declared, every_byte, of_bytes, told
from octavo.onnx_graph.rewrites import network_input
from octavo.project.params.encoding import InputEncoding

Code, Type = schema.BuiltinOperator, schema.TensorType
SHIFT = 128
"""Between an int8 and the uint8 with the same place in its range."""


OPTIONS = {
    Code.CAST: schema.BuiltinOptions.CastOptions,
    Code.DIV: schema.BuiltinOptions.DivOptions,
    Code.SUB: schema.BuiltinOptions.SubOptions,
}


class _Step(NamedTuple):
    """One operator of an encoding."""

    code: int
    options: object
    values: tuple[float, ...] = ()
    """Of its second input; empty if it has none."""


def take_bytes(content: bytes) -> bytes:
    """Return the file with an input of uint8.

    If the file first rounds its input to int8, and that gives the bytes back up to a shift by 128, its input becomes
    uint8 of the same scale, and stays all integer. Any other file first does what `encode` does, in the same order, so
    its answers are the same bits.

    Args:
        content: a LiteRT file whose input is float32.
    """
    model = read(content)
    encoding, graph = declared(metadata_of(model)), model.subgraphs[0]
    (index,) = map(int, graph.inputs)
    taken = copy.deepcopy(graph.tensors[index])
    taken.type, taken.buffer = Type.UINT8, 0
    graph.tensors.append(taken)
    graph.tensors[index].name = (taken.name or b"") + b"/real"
    graph.inputs = [len(graph.tensors) - 1]
    for signature in model.signatureDefs or ():
        for end in signature.inputs or ():
            end.tensorIndex = graph.inputs[0] if end.tensorIndex == index else end.tensorIndex
    readers = [operator for operator in graph.operators if index in map(int, operator.inputs)]
    rounded = _rounded(model, graph, readers)
    if rounded is not None and _gives_bytes_back(rounded, encoding):
        taken.quantization = schema.QuantizationParametersT()
        taken.quantization.scale, taken.quantization.zeroPoint = [rounded.scale], [rounded.zero + SHIFT]
        readers[0].inputs = graph.inputs
        return write(model)
    graph.operators[:0] = _encoded(model, graph, index, encoding)
    declare(model, {KEY: told(of_bytes(encoding)).get(KEY)})
    return write(model)


def _rounded(model: schema.ModelT, graph: schema.SubGraphT, readers: list[schema.OperatorT]) -> Quantization | None:
    """Scale and zero point of the int8 that the input is rounded to, if nothing else reads it."""
    if [code(model, operator) for operator in readers] != [Code.QUANTIZE]:
        return None
    target = graph.tensors[int(readers[0].outputs[0])]
    if target.type != Type.INT8:
        return None
    return Quantization(np.dtype(np.int8), float(target.quantization.scale[0]), int(target.quantization.zeroPoint[0]))


def _gives_bytes_back(rounded: Quantization, encoding: InputEncoding) -> bool:
    """Whether every byte of every channel is rounded to itself, less 128."""
    every, real = every_byte(encoding)
    return np.array_equal(rounded.integers(real), every.astype(np.int16) - SHIFT)


def _encoded(
    model: schema.ModelT, graph: schema.SubGraphT, index: int, encoding: InputEncoding
) -> list[schema.OperatorT]:
    """The operators of `encode`, from the graph's input to the tensor `index`."""
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = Type.UINT8, Type.FLOAT32
    steps = [_Step(Code.CAST, cast), _Step(Code.DIV, schema.DivOptionsT(), (encoding.scale,))]
    steps += [_Step(Code.SUB, schema.SubOptionsT(), encoding.mean)] if encoding.mean else []
    steps += [_Step(Code.DIV, schema.DivOptionsT(), encoding.std)] if encoding.std else []
    made: list[schema.OperatorT] = []
    given = int(graph.inputs[0])
    for place, step in enumerate(steps):
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.builtinOptions = _code(model, step.code), step.options
        operator.builtinOptionsType = OPTIONS[step.code]
        operator.inputs = [given, *([_constant(model, graph, step.values, index, encoding)] if step.values else [])]
        given = index if place == len(steps) - 1 else _between(graph, index)
        operator.outputs = [given]
        made.append(operator)
    return made


def _constant(
    model: schema.ModelT, graph: schema.SubGraphT, values: tuple[float, ...], index: int, encoding: InputEncoding
) -> int:
    """Append a float32 constant along the channels of the tensor `index`, and return its index."""
    array = network_input.per_channel(values, encoding.layout, len(graph.tensors[index].shape))
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = np.frombuffer(array.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.shape, tensor.type, tensor.buffer = list(array.shape), Type.FLOAT32, len(model.buffers) - 1
    tensor.name = graph.tensors[index].name + b"/constant"
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _between(graph: schema.SubGraphT, index: int) -> int:
    """Append a tensor like that at `index`, and return its index."""
    graph.tensors.append(copy.deepcopy(graph.tensors[index]))
    return len(graph.tensors) - 1


def _code(model: schema.ModelT, kind: int) -> int:
    """Index of an operator among the model's operator codes. It is added if it is missing."""
    for place, known in enumerate(model.operatorCodes):
        if max(known.builtinCode, known.deprecatedBuiltinCode) == kind:
            return place
    added = schema.OperatorCodeT()
    added.builtinCode = added.deprecatedBuiltinCode = kind
    added.version = 1
    model.operatorCodes.append(added)
    return len(model.operatorCodes) - 1
