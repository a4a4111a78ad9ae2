"""What an ONNX file stores and computes in integers, counted from the operators' specification alone.

Weights are read from the file with onnx, multiply-accumulates from the graph that onnxruntime writes after its own
optimization, with shapes from a run of it. Nothing here knows how the proof counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

FLOAT_IN_FILE = "session.disable_quant_qdq"
"""The only session option that changes which operators run."""

THROUGH = {
    "DequantizeLinear",
    "QuantizeLinear",
    "Cast",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Identity",
}
"""Operators through whose first input a constant is still the same constant."""
SETTINGS = {
    "Reshape": {1},
    "Squeeze": {1},
    "Unsqueeze": {1},
    "Slice": {1, 2, 3, 4},
    "Split": {1},
    "Pad": {1, 2, 3},
    "Resize": {1, 2, 3},
    "Clip": {1, 2},
    "QuantizeLinear": {1, 2},
    "DequantizeLinear": {1, 2},
    "ReduceMean": {1},
    "Expand": {1},
    "LSTM": {4, 5, 6},
    "GRU": {4, 5},
    "QLinearConv": {1, 2, 4, 5, 6, 7},
    "QLinearMatMul": {1, 2, 4, 5, 6, 7},
    "MatMulInteger": {2, 3},
    "DynamicQuantizeMatMul": {2, 3},
    "MatMulIntegerToFloat": {2, 3, 4, 5},
}
"""By operator the inputs that say how it computes: shapes, axes, bounds, scales, zero points, first states."""
BIAS = {
    "Conv": {2},
    "ConvTranspose": {2},
    "Gemm": {2},
    "BatchNormalization": {2, 3},
    "LayerNormalization": {2},
    "LSTM": {3},
    "GRU": {3},
    "QLinearConv": {8},
    "DynamicQuantizeMatMul": {4},
    "MatMulIntegerToFloat": {6},
}
"""By operator the inputs that it adds to a sum of its own; the mean that a normalization subtracts is one."""


@dataclass(frozen=True)
class Share:
    integer: int = 0
    whole: int = 0

    @property
    def value(self) -> float:
        return self.integer / self.whole if self.whole else 0.0


def stored_weights(path: Path) -> Share:
    """Elements of weights in integers, and of all weights."""
    graph = onnx.load(path).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    weights: dict[str, bool] = {}
    for node in graph.node:
        if node.op_type in THROUGH or _is_scaling(node, tensors, makers):
            continue
        for place, name in enumerate(node.input):
            source = _constant(name, tensors, makers)
            if source is not None and _is_weight(node, place, source):
                kind = helper.tensor_dtype_to_np_dtype(source.data_type)
                weights[source.name] = not np.issubdtype(kind, np.floating)
    sizes = {name: prod(tensors[name].dims) for name in weights}
    return Share(sum(sizes[name] for name, integer in weights.items() if integer), sum(sizes.values()))


def computed(path: Path, images: np.ndarray) -> Share:
    """Multiply-accumulates of one image in integer kernels, and of one image in all.

    Raises:
        KeyError: an operator that this count has no formula for.
    """
    model = _optimized(path)
    values = _values(model, images[:1])
    integer = whole = 0
    for node in model.graph.node:
        macs = _macs(node, values)
        whole += macs
        if macs and _in_integers(node, values):
            integer += macs
    return Share(integer, whole)


def _constant(
    name: str, tensors: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> onnx.TensorProto | None:
    while name not in tensors:
        maker = makers.get(name)
        if maker is None or not (maker.op_type in THROUGH or _scales_integers(maker, tensors, makers)):
            return None
        name = maker.input[0]
    return tensors[name]


def _is_scaling(node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]) -> bool:
    """Whether the constant that `node` multiplies by is a scale: of stored integers, or of those made at every call."""
    sources = [makers[name].op_type for name in node.input if name in makers]
    return _scales_integers(node, tensors, makers) or (node.op_type == "Mul" and "DynamicQuantizeLinear" in sources)


def _scales_integers(
    node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto], makers: dict[str, onnx.NodeProto]
) -> bool:
    """Cast(integers) · scale: DequantizeLinear in two operators."""
    maker = makers.get(node.input[0])
    return node.op_type == "Mul" and node.input[1] in tensors and maker is not None and maker.op_type == "Cast"


def _is_weight(node: onnx.NodeProto, place: int, tensor: onnx.TensorProto) -> bool:
    if place == WEIGHT.get(node.op_type):
        return True
    if place in SETTINGS.get(node.op_type, set()) | BIAS.get(node.op_type, set()) or prod(tensor.dims) == 1:
        return False
    is_vector = sum(size > 1 for size in tensor.dims) <= 1
    return not (node.op_type in ("Add", "Sub") and is_vector)


def _optimized(path: Path) -> onnx.ModelProto:
    asked = {item.key: item.value for item in onnx.load(path).metadata_props}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    if FLOAT_IN_FILE in asked:
        options.add_session_config_entry(FLOAT_IN_FILE, asked[FLOAT_IN_FILE])
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "optimized.onnx"))
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _values(model: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """Every value in a run of exactly this graph."""
    names = [name for node in model.graph.node for name in node.output if name]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    run = session.run(names, {session.get_inputs()[0].name: images})
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return constants | {session.get_inputs()[0].name: images} | dict(zip(names, run, strict=True))


WEIGHT = {
    "Conv": 1,
    "FusedConv": 1,
    "QLinearConv": 3,
    "ConvTranspose": 1,
    "Gemm": 1,
    "FusedGemm": 1,
    "QGemm": 3,
    "MatMul": 1,
    "FusedMatMul": 1,
    "QLinearMatMul": 3,
    "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1,
    "LSTM": 1,
    "GRU": 1,
    "DynamicQuantizeLSTM": 1,
}
"""Operators that sum products, and the place of their second factor."""
SUMLESS = """
Abs Add And AveragePool BatchNormalization BiasGelu BiasSoftmax Cast
Clip Concat Constant DequantizeLinear Div DynamicQuantizeLinear Elu Equal
Erf Exp Expand FastGelu Flatten Gather Gelu GlobalAveragePool
HardSigmoid HardSwish Identity LayerNormalization LeakyRelu Max MaxPool Min
Mul Neg PRelu Pad Pow QLinearAdd QLinearAveragePool QLinearConcat
QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearSigmoid QLinearSoftmax QuantizeLinear QuickGelu Range
ReduceMean Relu Reshape Resize Selu Shape Sigmoid SkipLayerNormalization
Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub
Tanh Tile Transpose Unsqueeze Where
"""
WITHOUT_SUMS = frozenset(SUMLESS.split())
"""Operators that move, convert, compare or pool values, or compute them one by one."""


def _macs(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> int:
    if node.op_type in WITHOUT_SUMS:
        return 0
    data, weight = values[node.input[0]], values[node.input[WEIGHT[node.op_type]]]
    output = values[next(name for name in node.output if name)]
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if node.op_type in ("Conv", "FusedConv", "QLinearConv"):
        return output.size * weight[0].size
    if node.op_type == "ConvTranspose":
        return data.size * weight[0].size
    if node.op_type in ("LSTM", "GRU", "DynamicQuantizeLSTM"):
        gates = 3 if node.op_type == "GRU" else 4
        steps, batch, features = data.shape
        hidden = attributes["hidden_size"]
        return len(weight) * steps * batch * gates * hidden * (features + hidden)
    rows = -2 if attributes.get("transA") else -1
    return output.size * data.shape[rows]


def _in_integers(node: onnx.NodeProto, values: dict[str, np.ndarray]) -> bool:
    """A kernel gets integers as its second factor only where it multiplies integers."""
    return values[node.input[WEIGHT[node.op_type]]].dtype in (np.int8, np.uint8)


def float_operators(path: Path, images: np.ndarray) -> Iterator[str]:
    """Types of the operators with multiply-accumulates that run in float, for messages."""
    model = _optimized(path)
    values = _values(model, images[:1])
    return (node.op_type for node in model.graph.node if _macs(node, values) and not _in_integers(node, values))
