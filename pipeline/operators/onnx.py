"""ONNX files: parameters as stored, operators after onnxruntime's own optimization."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper

from pipeline import qdq
from pipeline.operators import MOVERS, Operator, Parameter
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
    model = onnx.load(path)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = qdq.producers(model)
    found: dict[str, Parameter] = {}
    for node in model.graph.node:
        weights, bias = WEIGHTS_AND_BIAS.get(node.op_type, ((), None))
        for place in (*weights, *(() if bias is None else (bias,))):
            tensor = _stored_behind(node.input[place], stored, makers) if place < len(node.input) else None
            if tensor is not None:
                array = numpy_helper.to_array(tensor)
                integer = tensor.data_type in INTEGER_TYPES
                found[tensor.name] = Parameter("bias" if place == bias else "weight", array.size, array.nbytes, integer)
    return list(found.values())


def operators(path: Path) -> list[Operator]:
    """Operators of the graph that onnxruntime makes of the file, before it picks memory layouts for this CPU."""
    with TemporaryDirectory() as folder:
        optimized = Path(folder, "optimized.onnx")
        open_session(path, optimized=optimized)
        model = onnx.load(optimized)
    values = _values(model)
    return list(_operators(model, values))


def _operators(model: onnx.ModelProto, values: dict[str, np.ndarray]) -> Iterator[Operator]:
    for node in model.graph.node:
        output = values[node.output[0]]
        integer = node.op_type in MOVERS | CONVERTERS | INTEGER_WITH_FLOAT_OUTPUT or not np.issubdtype(
            output.dtype, np.floating
        )
        yield Operator(node.name or node.output[0], node.op_type, _macs(node, values), integer)


def _macs(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> int:
    weights, _ = WEIGHTS_AND_BIAS.get(node.op_type, ((), None))
    if not weights:
        return 0
    weight, output = values[node.input[weights[-1]]], values[node.output[0]]
    if node.op_type == "ConvTranspose":
        return int(values[node.input[0]].size * weight.size // weight.shape[0])
    channels = weight.shape[0] if node.op_type in CONVOLUTIONS else output.shape[-1]
    return int(output.size * weight.size // channels)


def _values(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Every value of the graph for one image of zeros."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    (source,) = model.graph.input
    made = [output for node in model.graph.node for output in node.output if output]
    known = {value.name for value in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in known)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tensor = source.type.tensor_type
    image = np.zeros(
        [dim.dim_value or 1 for dim in tensor.shape.dim], onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    )
    names = [output.name for output in session.get_outputs()]
    return (
        qdq.initializers(model)
        | {source.name: image}
        | dict(zip(names, session.run(names, {source.name: image}), strict=True))
    )


def _stored_behind(
    name: str, stored: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> onnx.TensorProto | None:
    """The initializer that `name` is, or is converted from."""
    while name not in stored and name in makers and makers[name].op_type in CONVERTERS | MOVERS:
        name = makers[name].input[0]
    return stored.get(name)
