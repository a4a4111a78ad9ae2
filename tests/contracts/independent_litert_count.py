"""What a LiteRT file stores and computes in integers, counted from its schema alone."""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.contracts.independent_count import Share

B = schema.BuiltinOperator
NAMES = {value: name for name, value in vars(B).items() if isinstance(value, int)}
INTEGERS = {schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16, schema.TensorType.INT4}
LINEAR = {
    "BATCH_MATMUL",
    "CONV_2D",
    "CONV_3D",
    "CONV_3D_TRANSPOSE",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
}
SETTINGS = {
    "EXPAND_DIMS",
    "GATHER",
    "MEAN",
    "PACK",
    "PAD",
    "PADV2",
    "REDUCE_PROD",
    "RESHAPE",
    "SHAPE",
    "SQUEEZE",
    "STRIDED_SLICE",
    "TRANSPOSE",
}
"""Operators whose constants say how they move values."""
ELEMENTWISE = {"ADD", "SUB"}
THROUGH = {"DEQUANTIZE", "QUANTIZE", "CAST", "RESHAPE", "TRANSPOSE"}
SUMLESS = """
ABS AVERAGE_POOL_2D CONCATENATION DIV ELU EXP GELU
HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MINIMUM
MUL NEG POW PRELU REDUCE_MAX RELU RELU6 RELU_N1_TO_1
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SOFTMAX SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND
SPLIT SPLIT_V SQRT SQUARED_DIFFERENCE SUM TANH
"""
WITHOUT_SUMS = SETTINGS | THROUGH | ELEMENTWISE | set(SUMLESS.split())


def shares(path: Path) -> tuple[Share, Share]:
    """Elements of weights, and multiply-accumulates of one image: each in integers, and in all.

    Raises:
        KeyError: an operator that this count has no formula for.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    (graph,) = model.subgraphs
    shapes = _shapes(path)
    named = [(_name(model, operator), operator) for operator in graph.operators]
    makers = {int(index): (name, operator) for name, operator in named for index in operator.outputs}
    weights: dict[int, bool] = {}
    integer = whole = 0
    for name, operator in named:
        if name not in LINEAR and name not in WITHOUT_SUMS:
            raise KeyError(name)
        if name not in THROUGH | SETTINGS:
            for place, index in enumerate(operator.inputs):
                source = _constant(model, graph, makers, int(index))
                if source is not None and _is_weight(name, place, graph.tensors[source]):
                    weights[source] = graph.tensors[source].type in INTEGERS
        if name in LINEAR:
            macs = _macs(name, operator, shapes)
            whole += macs
            integer += macs if graph.tensors[operator.inputs[1]].type in INTEGERS else 0
    sizes = {index: prod(graph.tensors[index].shape) for index in weights}
    stored = Share(sum(sizes[index] for index, is_integer in weights.items() if is_integer), sum(sizes.values()))
    return stored, Share(int(integer), int(whole))


def _name(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _constant(model: Any, graph: Any, makers: dict[int, tuple[str, Any]], index: int) -> int | None:
    while index >= 0:
        if model.buffers[graph.tensors[index].buffer].data is not None:
            return index
        name, operator = makers.get(index, ("", None))
        if operator is None or name not in THROUGH:
            return None
        index = int(operator.inputs[0])
    return None


def _is_weight(name: str, place: int, tensor: Any) -> bool:
    shape = np.asarray([] if tensor.shape is None else tensor.shape)
    if name in LINEAR:
        return place == 1
    if shape.prod() == 1:
        return False
    if tensor.type == schema.TensorType.INT32:
        return False
    return not (name in ELEMENTWISE and (shape > 1).sum() <= 1)


def _shapes(path: Path) -> dict[int, list[int]]:
    """By tensor its shape for one image: those in the file are of no use where they follow the batch."""
    interpreter = Interpreter(
        model_path=str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    interpreter.invoke()
    return {details["index"]: details["shape"].tolist() for details in interpreter.get_tensor_details()}


def _macs(name: str, operator: Any, shapes: dict[int, list[int]]) -> int:
    output, weight = shapes[operator.outputs[0]], shapes[operator.inputs[1]]
    if name == "TRANSPOSE_CONV":
        return prod(shapes[operator.inputs[2]]) * prod(weight[:3])
    if name == "CONV_3D_TRANSPOSE":
        return prod(shapes[operator.inputs[2]]) * prod(weight[:4])
    if name == "BATCH_MATMUL":
        return prod(output) * shapes[operator.inputs[0]][-1]
    if name == "CONV_3D":
        return prod(output) * prod(weight[:4])
    if name == "DEPTHWISE_CONV_2D":
        return prod(output) * prod(weight[1:3])
    return prod(output) * prod(weight[1:])
