"""The weights and biases stored in an ONNX file: the stored tensors that its operators read as data.

`octavo.backends.operators` defines weights and biases.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper, inliner, numpy_helper

from octavo.backends.onnxruntime.macs import FORMULAS, attribute, is_known, qualified
from octavo.backends.onnxruntime.values import subgraphs
from octavo.backends.operators import MOVERS, Parameter
from octavo.onnx_graph import file_io
from octavo.project.files import damage

BIASES = {
    "Conv": {2},
    "ConvTranspose": {2},
    "DeformConv": {3},
    "Gemm": {2},
    "QLinearConv": {8},
    "RNN": {3},
    "GRU": {3},
    "LSTM": {3},
    "BatchNormalization": {2, 3},
    "GroupNormalization": {2},
    "InstanceNormalization": {2},
    "LayerNormalization": {2},
    "com.microsoft.Attention": {2},
    "com.microsoft.BiasGelu": {1},
    "com.microsoft.DynamicQuantizeLSTM": {3},
    "com.microsoft.DynamicQuantizeMatMul": {4},
    "com.microsoft.EmbedLayerNormalization": {6},
    "com.microsoft.FastGelu": {1},
    "com.microsoft.FusedConv": {2},
    "com.microsoft.FusedGemm": {2},
    "com.microsoft.GroupNorm": {2},
    "com.microsoft.MatMulIntegerToFloat": {6},
    "com.microsoft.MatMulNBits": {5},
    "com.microsoft.MultiHeadAttention": {3},
    "com.microsoft.QAttention": {2},
    "com.microsoft.QGemm": {6},
    "com.microsoft.SkipLayerNormalization": {3, 4},
    "com.microsoft.SkipSimplifiedLayerNormalization": {3},
}
"""Operator -> the positions of its bias inputs. The mean of a BatchNormalization, which is subtracted, counts too."""
ADDENDS = {"Add", "Sub", "com.microsoft.QLinearAdd"}
"""Operators that add any two inputs. A vector that is added to every value of a channel is a bias."""
SETTINGS = {
    "Clip": {1, 2},
    "ConvInteger": {2, 3},
    "Dropout": {1},
    "GRU": {5},
    "LSTM": {5, 6},
    "MatMulInteger": {2, 3},
    "OneHot": {2},
    "Pad": {2},
    "QLinearConv": {1, 2, 4, 5, 6, 7},
    "QLinearMatMul": {1, 2, 4, 5, 6, 7},
    "RNN": {5},
    "Resize": {1, 2},
    "Upsample": {1},
    "com.microsoft.DynamicQuantizeLSTM": {5, 6, 8, 9, 10, 11},
    "com.microsoft.DynamicQuantizeMatMul": {2, 3},
    "com.microsoft.GatherBlockQuantized": {2, 3},
    "com.microsoft.MatMulIntegerToFloat": {2, 3, 4, 5},
    "com.microsoft.MatMulNBits": {2, 3, 4},
    "com.microsoft.QAttention": {3, 4, 6, 7},
    "com.microsoft.QGemm": {1, 2, 4, 5, 7, 8},
}
"""Operator -> the positions of inputs that are settings, although their type and size could be those of weights."""
BITS: dict[int, int] = {
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}
"""Bits of types that are stored in less than a byte."""
FLOATS = {
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
    TensorProto.DOUBLE,
    TensorProto.FLOAT4E2M1,
    TensorProto.FLOAT8E4M3FN,
    TensorProto.FLOAT8E4M3FNUZ,
    TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E5M2FNUZ,
}
SMALL = {
    TensorProto.INT2,
    TensorProto.UINT2,
    TensorProto.INT4,
    TensorProto.UINT4,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT16,
    TensorProto.UINT16,
}
"""Integer types that represent float values whenever they are read as data. Other integer types only do so if they are
converted."""
CONVERTERS = {"Cast", "DequantizeLinear", "QuantizeLinear"} | {
    f"com.microsoft.{name}" for name in ("DequantizeLinear", "QuantizeLinear")
}
THROUGH = CONVERTERS | MOVERS - {"Shape"}
VALUES = ("value", "value_float", "value_floats", "value_int", "value_ints")
"""Attributes of a Constant that hold numbers."""
HIDING = {onnx.AttributeProto.TENSOR, onnx.AttributeProto.TENSORS, onnx.AttributeProto.SPARSE_TENSOR}


@damage.told
def parameters(path: Path) -> list[Parameter]:
    """The weights and biases stored in the file. A tensor with several readers counts once.

    Raises:
        ModelError: the file is missing or not ONNX.
    """
    model = file_io.load(path, external=False)
    if model.functions:
        model = inliner.inline_local_functions(model)
    found: dict[int, tuple[Message, Parameter]] = {}  # keeping the message keeps its id valid
    for message, parameter in _read(model.graph, ChainMap(), ChainMap()):
        if id(message) not in found or found[id(message)][1].kind == "bias":
            found[id(message)] = message, parameter
    return [parameter for _, parameter in found.values()]


def _read(
    graph: onnx.GraphProto, stored: ChainMap[str, TensorProto], makers: ChainMap[str, onnx.NodeProto]
) -> Iterator[tuple[Message, Parameter]]:
    """For every reader of a stored tensor: the tensor, and the parameter. Subgraphs see the names of outer graphs."""
    stored = stored.new_child(_stored(graph))
    makers = makers.new_child({output: node for node in graph.node for output in node.output})
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _read(inner, stored, makers.new_child(_handed_in(node, inner)))
        if qualified(node) in THROUGH or node.op_type == "Constant":
            continue
        if _scales_integers(node, stored, makers) or _scales_sums(node, makers):
            continue
        if not is_known(node) and _hides_constants(node):
            yield node, Parameter("weight", 0, 0, None)
        for place, source in enumerate(node.input):
            tensor, converted = _behind(source, stored, makers)
            kind = None if tensor is None else _kind(node, place, tensor, converted)
            if tensor is not None and kind is not None:
                yield tensor, _parameter(node, place, tensor, kind)


def _handed_in(node: onnx.NodeProto, body: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Constant states of a Loop or Scan -> an Identity that reads the value from outside."""
    first = {"Loop": 2, "Scan": 0}.get(qualified(node))
    if first is None:
        return {}
    makers = {inner.output[0]: inner for inner in body.node if inner.op_type == "Identity"}
    after = [value.name for value in body.output[first // 2 :]]
    states = [value.name for value in body.input[first:]]
    same = {}
    for state, given, changed in zip(states, node.input[first:], after, strict=False):
        while changed in makers:
            changed = makers[changed].input[0]  # noqa: PLW2901 - followed back to its source
        if changed == state:
            same[state] = helper.make_node("Identity", [given], [state])
    return same


def _kind(node: onnx.NodeProto, place: int, tensor: TensorProto, converted: bool) -> str | None:
    """What the tensor is for the operator: `weight`, `bias`, or None for neither."""
    kind, several = qualified(node), [size for size in tensor.dims if size > 1]
    if place in BIASES.get(kind, set()):
        return "bias"
    data = tensor.data_type in FLOATS | SMALL or (converted and tensor.data_type != TensorProto.BOOL)
    if place in SETTINGS.get(kind, set()) or place < _states(node) or not data or not (several or kind in FORMULAS):
        return None
    return "bias" if kind in ADDENDS and len(several) == 1 else "weight"


def _states(node: onnx.NodeProto) -> int:
    """Number of leading inputs of a Loop or Scan that are the initial values of its states, not data."""
    if qualified(node) == "Scan":
        return len(node.input) - int(attribute(node, "num_scan_inputs", 1))
    return len(node.input) if qualified(node) == "Loop" else 0


def _parameter(node: onnx.NodeProto, place: int, tensor: TensorProto, kind: str) -> Parameter:
    elements = prod(tensor.dims)
    bits = BITS.get(int(tensor.data_type)) or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    file_bytes = -(-elements * bits // 8)
    if qualified(node) == "com.microsoft.MatMulNBits" and place == 1:
        elements = elements * 8 // attribute(node, "bits", 4)
    return Parameter(kind, elements, file_bytes, tensor.data_type not in FLOATS)  # type: ignore[arg-type]


def _stored(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Name -> tensor, for initializers and constants. A sparse tensor is represented by its stored values."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    found |= {sparse.values.name: sparse.values for sparse in graph.sparse_initializer}
    for node in graph.node:
        for item in node.attribute if node.op_type == "Constant" else ():
            if item.name == "sparse_value":
                found[node.output[0]] = item.sparse_tensor.values
            elif item.name in VALUES:
                value = helper.get_attribute_value(item)
                made = value if isinstance(value, TensorProto) else numpy_helper.from_array(_array(item, value))
                found[node.output[0]] = made
    return found


def _array(item: onnx.AttributeProto, value: object) -> np.ndarray:
    return np.asarray(value, np.float32 if "float" in item.name else np.int64)


def _behind(
    name: str, stored: Mapping[str, TensorProto], makers: Mapping[str, onnx.NodeProto]
) -> tuple[TensorProto | None, bool]:
    """The stored tensor that `name` is, or is moved or converted from, and whether it was converted."""
    converted = False
    while name not in stored and name in makers:
        maker = makers[name]
        if qualified(maker) not in THROUGH and not _scales_integers(maker, stored, makers):
            break
        converted = converted or qualified(maker) in CONVERTERS
        name = maker.input[0]
    return stored.get(name), converted


def _scales_integers(
    node: onnx.NodeProto, stored: Mapping[str, TensorProto], makers: Mapping[str, onnx.NodeProto]
) -> bool:
    """Whether it is a step of a decomposed dequantization: cast stored integers, subtract a zero point, scale."""
    if qualified(node) not in ("Mul", "Sub") or node.input[1] not in stored:
        return False
    tensor, converted = _behind(node.input[0], stored, makers)
    return tensor is not None and converted and tensor.data_type in SMALL


def _scales_sums(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether it multiplies scales, or integer sums by scales, as decomposed dynamic quantization does."""
    if qualified(node) != "Mul":
        return False
    sources = [makers[name] for name in node.input if name in makers]
    cast = [makers.get(source.input[0]) for source in sources if source.op_type == "Cast"]
    kinds = {source.op_type for source in (*sources, *cast) if source is not None}
    return not kinds.isdisjoint({"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"})


def _hides_constants(node: onnx.NodeProto) -> bool:
    """Whether an operator has attributes with tensors or lists of numbers that may be weights."""
    return any(item.type in HIDING or len(item.floats) > 1 for item in node.attribute)
