"""ONNX files: parameters as stored, operators after onnxruntime's own optimization."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto

from pipeline import canonical, onnx_file, qdq, session_options
from pipeline.findings import Interface, Tensor
from pipeline.operators import MOVERS, Operator, Parameter
from pipeline.probe import open_probe
from pipeline.runtimes.onnx import open_session

WEIGHTS_AND_BIAS = {
    "Conv": ((1,), 2),
    "ConvTranspose": ((1,), 2),
    "Gemm": ((1,), 2),
    "MatMul": ((0, 1), None),
    "Add": ((), 1),
    "ConvInteger": ((1,), None),
    "MatMulInteger": ((1,), None),
    "QLinearConv": ((3,), 8),
    "QLinearMatMul": ((3,), None),
    "QGemm": ((3,), 6),
    "FusedConv": ((1,), 2),
    "FusedGemm": ((1,), 2),
    "FusedMatMul": ((0, 1), None),
    "DynamicQuantizeMatMul": ((1,), None),
    "MatMulIntegerToFloat": ((1,), None),
}
"""By operator the places of its weights and of its bias among the inputs."""

CONVOLUTIONS = {"Conv", "FusedConv", "ConvInteger", "QLinearConv"}
INTEGER_TYPES = {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT4, TensorProto.UINT4}
INTEGER_WITH_FLOAT_OUTPUT = {"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DynamicQuantizeLinear", "QGemm"}
CONVERTERS = {"QuantizeLinear", "DequantizeLinear", "Cast"}


def parameters(path: Path) -> list[Parameter]:
    """Weights and biases as they lie in the file."""
    model = onnx_file.load(path, external=False)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = qdq.producers(model)
    found: dict[str, Parameter] = {}
    for node in model.graph.node:
        weights, bias = WEIGHTS_AND_BIAS.get(node.op_type, ((), None))
        for place in (*weights, *(() if bias is None else (bias,))):
            tensor = _stored_behind(node.input[place], stored, makers) if place < len(node.input) else None
            if tensor is not None:
                integer, elements = tensor.data_type in INTEGER_TYPES, prod(tensor.dims)
                size = elements * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
                found[tensor.name] = Parameter("bias" if place == bias else "weight", elements, size, integer)
    return list(found.values())


def operators(path: Path) -> list[Operator]:
    """Operators of the graph that will run."""
    model = optimized(path)
    return list(_operators(model, values(model)))


def name(node: onnx.NodeProto) -> str:
    """What an operator is called: by the layer it came from, else by what it makes."""
    return str(node.doc_string or node.name or node.output[0])


def interface(path: Path) -> Interface:
    """The first input and output, as the file declares them, and the session options that it asks for."""
    model = onnx_file.load(path, external=False)
    source, target = (_tensor(values[0]) for values in (model.graph.input, model.graph.output))
    asked = session_options.asked({item.key: item.value for item in model.metadata_props})
    return Interface(input=source, output=target, session_options=asked)


def output_step(path: Path) -> float | None:
    """The scale of the integers that logits are, or None where they are float from the start."""
    model = onnx_file.load(path)
    maker = qdq.producers(model).get(model.graph.output[0].name)
    if maker is None or maker.op_type != "DequantizeLinear":
        return None
    return float(qdq.initializers(model)[maker.input[1]])


def optimized(path: Path) -> onnx.ModelProto:
    """The graph that onnxruntime makes of the file, before it picks kernels and memory layouts for this CPU.

    Exact sums, which only choose kernels, are not asked for.
    """
    with TemporaryDirectory() as folder:
        target = Path(folder, "optimized.onnx")
        open_session(path, optimized=target)
        model = onnx_file.load(target)
    layers = canonical.layers(path)
    for node in model.graph.node:
        node.doc_string = layers.get(node.output[0], "")
    return model


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Tensor(name=value.name, dtype=dtype.name, shape=shape)


def _operators(model: onnx.ModelProto, values: dict[str, np.ndarray]) -> Iterator[Operator]:
    for node in model.graph.node:
        output = values[node.output[0]]
        integer = node.op_type in MOVERS | CONVERTERS | INTEGER_WITH_FLOAT_OUTPUT or not np.issubdtype(
            output.dtype, np.floating
        )
        yield Operator(name(node), node.op_type, _macs(node, values), integer)


def _macs(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> int:
    weights, _ = WEIGHTS_AND_BIAS.get(node.op_type, ((), None))
    if not weights:
        return 0
    weight, output = values[node.input[weights[-1]]], values[node.output[0]]
    if node.op_type == "ConvTranspose":
        return int(values[node.input[0]].size * weight.size // weight.shape[0])
    channels = weight.shape[0] if node.op_type in CONVOLUTIONS else output.shape[-1]
    return int(output.size * weight.size // channels)


def values(model: onnx.ModelProto, images: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Every value of the graph by name, for images as its input takes them, by default one of zeros."""
    (source,) = model.graph.input
    names = [output for node in model.graph.node for output in node.output if output]
    session = open_probe(model, names)
    if images is None:
        tensor = source.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        images = np.zeros([dim.dim_value or 1 for dim in tensor.shape.dim], dtype)
    run = session.run(names, {source.name: images})
    return qdq.initializers(model) | {source.name: images} | dict(zip(names, run, strict=True))


def _stored_behind(
    name: str, stored: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> onnx.TensorProto | None:
    """The initializer that `name` is, or is converted from."""
    while name not in stored and name in makers and makers[name].op_type in CONVERTERS | MOVERS | {"Mul"}:
        if makers[name].op_type == "Mul" and makers[name].input[1] not in stored:  # else it scales a Cast's integers
            return None
        name = makers[name].input[0]
    return stored.get(name)
