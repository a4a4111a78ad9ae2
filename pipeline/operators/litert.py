"""LiteRT files: parameters and operators as the flatbuffer has them; the interpreter runs just these."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from pipeline.findings import Interface, Tensor
from pipeline.operators import MOVERS, Operator, Parameter

Code = schema.BuiltinOperator
NAMES = {value: name for name, value in vars(Code).items() if isinstance(value, int)}
OUTPUT_AXIS = {Code.CONV_2D: 0, Code.DEPTHWISE_CONV_2D: 3, Code.FULLY_CONNECTED: 0, Code.TRANSPOSE_CONV: 0}
"""Operators with weights, and the axis of the output channels in them."""
CONVERTERS = {"Quantize", "Dequantize", "Cast"}
ITEM_BYTES = {
    schema.TensorType.FLOAT32: 4,
    schema.TensorType.FLOAT16: 2,
    schema.TensorType.INT32: 4,
    schema.TensorType.INT64: 8,
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
}
FLOATS = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16}
DTYPES = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}


def parameters(path: Path) -> list[Parameter]:
    """Weights and biases as they lie in the file."""
    model, graph = _load(path)
    found: dict[int, Parameter] = {}
    for operator in graph.operators:
        for place, kind in _roles(model, operator):
            index = _stored_behind(model, graph, operator.inputs[place]) if place < len(operator.inputs) else None
            if index is not None:
                tensor = graph.tensors[index]
                elements = math.prod(tensor.shape)
                size = elements * ITEM_BYTES[tensor.type]
                found[index] = Parameter(kind, elements, size, tensor.type not in FLOATS)  # type: ignore[arg-type]
    return list(found.values())


def operators(path: Path, images: np.ndarray | None = None) -> list[Operator]:
    """Operators in the order they run."""
    return list(_operators(*_load(path)))


def interface(path: Path) -> Interface:
    """The first input and output, as the file declares them."""
    _, graph = _load(path)
    source, target = (_tensor(graph.tensors[ends[0]]) for ends in (graph.inputs, graph.outputs))
    return Interface(input=source, output=target)


def output_step(path: Path) -> float | None:
    """The scale of the integers that logits are, or None where they are float from the start."""
    model, graph = _load(path)
    makers = {output: operator for operator in graph.operators for output in operator.outputs}
    maker = makers[graph.outputs[0]]
    if _type(model, maker) != "Dequantize":
        return None
    return float(graph.tensors[maker.inputs[0]].quantization.scale[0])


def _tensor(tensor: schema.TensorT) -> Tensor:
    """Its first dimension is the batch, whatever the file says: the interpreter lets it follow the data."""
    return Tensor(name=tensor.name.decode(), dtype=DTYPES[tensor.type], shape=(None, *map(int, tensor.shape[1:])))


def _operators(model: schema.ModelT, graph: schema.SubGraphT) -> Iterator[Operator]:
    for place, operator in enumerate(graph.operators):
        name = _type(model, operator)
        output = graph.tensors[operator.outputs[0]]
        weights = graph.tensors[operator.inputs[1]] if _code(model, operator) in OUTPUT_AXIS else None
        hybrid = weights is not None and weights.type == schema.TensorType.INT8
        integer = name in MOVERS | CONVERTERS or hybrid or output.type not in FLOATS
        yield Operator(f"{place}:{output.name.decode().split(';')[0]}", name, _macs(model, operator, graph), integer)


def _macs(model: schema.ModelT, operator: schema.OperatorT, graph: schema.SubGraphT) -> int:
    axis = OUTPUT_AXIS.get(_code(model, operator))
    if axis is None:
        return 0
    shape = graph.tensors[operator.inputs[1]].shape
    output = graph.tensors[operator.outputs[0]].shape
    return int(math.prod(abs(int(dim)) for dim in output) * math.prod(map(int, shape)) // int(shape[axis]))


def _roles(model: schema.ModelT, operator: schema.OperatorT) -> list[tuple[int, str]]:
    if _code(model, operator) in OUTPUT_AXIS:
        return [(1, "weight"), (3 if _code(model, operator) == Code.TRANSPOSE_CONV else 2, "bias")]
    return [(1, "bias")] if _code(model, operator) == Code.ADD else []


def _stored_behind(model: schema.ModelT, graph: schema.SubGraphT, index: int) -> int | None:
    """The tensor with a buffer that tensor `index` is, or is converted from."""
    makers = {output: operator for operator in graph.operators for output in operator.outputs}
    while index in makers and _type(model, makers[index]) in CONVERTERS:
        index = makers[index].inputs[0]
    data = model.buffers[graph.tensors[index].buffer].data if index >= 0 else None
    return None if data is None or not len(data) else int(index)


def _code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def _type(model: schema.ModelT, operator: schema.OperatorT) -> str:
    """The operator's name as ONNX would write it: `MaxPool2D`, not `MAX_POOL_2D`."""
    return "".join(word.capitalize() for word in NAMES[_code(model, operator)].split("_"))


def _load(path: Path) -> tuple[schema.ModelT, schema.SubGraphT]:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    return model, model.subgraphs[0]
