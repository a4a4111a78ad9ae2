"""Operators with weights: convolutions, and dense layers. Transposed convolutions are in `transposed`."""

from dataclasses import dataclass

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import Ending, ending
from octavo.quantization.litert.operators import windows
from octavo.quantization.litert.operators.windows import Window
from octavo.quantization.litert.translation import Code, Packed, Translation, option

CONVOLUTIONS = ("Conv", "ConvTranspose")
LARGE = 1024
"""Elements of weights from which a layer quantizes its float input at each call, as in LiteRT's converter."""
SECOND_AXIS = 1


@dataclass(frozen=True)
class Weights:
    """Weights and bias of a layer, in the order of LiteRT's axes."""

    kept: Packed
    """float32, float16 or int8."""
    bias: np.ndarray
    """float32. Of a layer without one it is 0, because some of LiteRT's kernels ask for it."""
    steps: np.ndarray | None
    """The bias in int32, if the file stores it so."""

    @property
    def are_integers(self) -> bool:
        return self.kept.scaling is not None and not self.kept.scaling.zero.any()


def convolution(translation: Translation, node: onnx.NodeProto) -> None:
    """Conv, of one to three spatial axes, grouped or not.

    Raises:
        ModelError: it has weights that are computed, or three spatial axes and groups.
    """
    source, target, rank = node.input[0], node.output[0], translation.rank(node.output[0])
    size = translation.shape(node.input[1])[2:]
    view = windows.window(node, size, translation.shape(source)[2:], translation.shape(target)[2:])
    groups, channels = qdq.attribute(node, "group", 1), translation.shape(source)[SECOND_AXIS]
    if groups > 1 and rank > 4:
        raise ModelError("a convolution over 3 spatial axes in groups has no form in LiteRT")
    depthwise = groups == channels and groups > 1 and rank < 5
    weights = weights_of(translation, node, _order(rank, depthwise), depthwise)
    end = ending(translation, node, fuses=True)
    last = layouts.channels_last(rank)
    integers = rank < 5 and computes_in_integers(translation, source, weights, end)
    given = translation.tensor(source, last, integers)
    result = translation.hold(end.value, last, end.scaling if integers else None)
    if rank == 3:
        view, given, inner = windows.widened(translation, view, given, result)
    else:
        inner = result
    if view.padding < 0:
        given = windows.padded(translation, given, view.begin, view.end, 0)
    code = Code.CONV_3D if rank == 5 else Code.DEPTHWISE_CONV_2D if depthwise else Code.CONV_2D
    inputs = [given, *parameters(translation, weights, given, integers, code)]
    options = _options(view, depthwise and translation.shape(node.input[1])[0] // channels, end.activation)
    translation.call(code, inputs, [inner], options, _version(code, integers, groups > 1 and not depthwise))
    if inner != result:
        windows.narrowed(translation, inner, result, end.value, last)


def _order(rank: int, depthwise: bool) -> layouts.Order:
    """LiteRT's order of the axes of ONNX's weights (O, I, ...)."""
    spatial = tuple(range(2, rank))
    if rank == 5:
        return (*spatial, 1, 0)
    return (1, *spatial, 0) if depthwise else (0, *spatial, 1)


def _options(view: Window, multiplier: int, activation: int) -> object:
    padding = view.padding if view.padding >= 0 else int(schema.Padding.VALID)
    names = ("D", "H", "W")[-len(view.size) :]
    fields = {f"stride{name}": each for name, each in zip(names, view.strides, strict=True)}
    fields |= {f"dilation{name}Factor": each for name, each in zip(names, view.dilations, strict=True)}
    fields |= {"padding": padding, "fusedActivationFunction": activation}
    if multiplier:
        return option(schema.DepthwiseConv2DOptionsT(), depthMultiplier=multiplier, **fields)
    return option(schema.Conv3DOptionsT() if len(names) == 3 else schema.Conv2DOptionsT(), **fields)


def _version(code: int, integers: bool, grouped: bool) -> int:
    if code == Code.CONV_3D:
        return 1
    if code == Code.DEPTHWISE_CONV_2D:
        return 3 if integers else 2
    return 6 if grouped else 3 if integers else 1


def dense(translation: Translation, node: onnx.NodeProto) -> None:
    """Gemm, and MatMul with constant weights.

    Raises:
        ModelError: a form of it that preparation leaves and LiteRT has not.
    """
    source, name = node.input[:2]
    if not translation.is_constant(name) or translation.rank(name) != 2:
        product(translation, node)
        return
    if any(qdq.attribute(node, factor, 1.0) != 1 for factor in ("alpha", "beta")):
        raise ModelError("a Gemm of a transposed input with a factor has no form in LiteRT")
    order = (0, 1) if qdq.attribute(node, "transB", 0) else (1, 0)
    weights = weights_of(translation, node, order)
    end = ending(translation, node, fuses=True)
    integers = computes_in_integers(translation, source, weights, end)
    rank, turned = translation.rank(source), bool(qdq.attribute(node, "transA", 0))
    flat = None if turned else translation.flattened(source, integers)
    if flat is None:
        given = translation.tensor(source, (1, 0) if turned else layouts.same(rank), integers)
    else:
        given, places = flat
        weights = _permuted(weights, places)
    result = translation.hold(end.value, layouts.same(rank), end.scaling if integers else None)
    inputs = [given, *parameters(translation, weights, given, integers, Code.FULLY_CONNECTED)]
    options = option(schema.FullyConnectedOptionsT(), fusedActivationFunction=end.activation, keepNumDims=rank > 2)
    per_channel = integers and weights.kept.scaling is not None and len(weights.kept.scaling.scale) > 1
    version = 12 if per_channel else 5 if rank > 2 else 4 if integers else 1
    translation.call(Code.FULLY_CONNECTED, inputs, [result], options, version)


def _permuted(weights: Weights, places: np.ndarray) -> Weights:
    """Weights (outputs, features) for features that come in another order."""
    return Weights(Packed(weights.kept.values[:, places], weights.kept.scaling), weights.bias, weights.steps)


def product(translation: Translation, node: onnx.NodeProto) -> None:
    """MatMul of two activations, or with weights of more than two axes."""
    end = ending(translation, node)
    integers = end.scaling is not None and all(map(translation.is_integer, node.input[:2]))
    given = [translation.tensor(name, layouts.same(translation.rank(name)), integers) for name in node.input[:2]]
    result = translation.hold(end.value, layouts.same(translation.rank(end.value)), end.scaling if integers else None)
    translation.call(Code.BATCH_MATMUL, given, [result], schema.BatchMatMulOptionsT(), 2 if integers else 1)


def computes_in_integers(translation: Translation, source: str, weights: Weights, end: Ending) -> bool:
    """Whether a layer computes in integers: its input, weights and output are.

    Args:
        translation: the graph so far.
        source: name of the input.
        weights: of the layer.
        end: of its output.
    """
    return end.scaling is not None and weights.are_integers and translation.is_integer(source)


def weights_of(
    translation: Translation, node: onnx.NodeProto, order: layouts.Order, depthwise: bool = False, name: str = ""
) -> Weights:
    """Weights and bias in LiteRT's order.

    Args:
        translation: knows the constants.
        node: the layer.
        order: of the axes. One spatial axis becomes two.
        depthwise: whether all output channels lie along the last axis.
        name: of the weights, if not those of the node.

    Raises:
        ModelError: they are computed.
    """
    name = name or node.input[1]
    if not translation.is_constant(name):
        raise ModelError(f"a {node.op_type} with computed weights has no form in LiteRT")
    kept = translation.kept.get(name) or Packed(translation.constants[name], None)
    values, scaling = kept.values.transpose(order), kept.scaling
    outputs = values.shape[order.index(qdq.OUTPUT_AXIS[node.op_type]) if node.op_type in CONVOLUTIONS else 0]
    if len(order) == 3:  # one spatial axis becomes two
        values = np.expand_dims(values, 1)
    if scaling is not None:
        axis = values.ndim - 1 if depthwise else order.index(scaling.axis)
        scaling = Scaling(scaling.scale, scaling.zero, axis if len(scaling.scale) > 1 else 0)
    bias = node.input[2] if qdq.has_bias(node) else ""
    if bias and not translation.is_constant(bias):
        raise ModelError(f"a {node.op_type} with a computed bias has no form in LiteRT")
    whole = translation.kept.get(bias)
    if whole is not None and whole.scaling is not None:
        real = (whole.values * whole.scaling.scale).astype(np.float32)
        return Weights(Packed(values, scaling), real, whole.values)
    real = translation.constants[bias].ravel() if bias else np.zeros(outputs, np.float32)
    return Weights(Packed(values, scaling), np.broadcast_to(real, outputs), None)


def parameters(translation: Translation, weights: Weights, given: int, integers: bool, code: int) -> list[int]:
    """The tensors of weights and bias. In integers the bias is int32, in steps of input scale times weight scale.

    A bias is rounded as onnxruntime rounds it: quotient in float32, halves to even.

    Args:
        translation: the graph, which gets the tensors.
        weights: of the layer.
        given: the tensor of its input.
        integers: whether it computes in integers.
        code: LiteRT's operator.
    """
    kept = weights.kept
    if not integers:
        hybrid = code != Code.DEPTHWISE_CONV_2D and translation.rounds_inputs and kept.values.size >= LARGE
        packed = kept.scaling is not None or kept.values.dtype == np.float16
        weight = translation.stored(kept, hybrid) if packed else translation.constant(kept.values)
        return [weight, translation.constant(weights.bias)]
    assert kept.scaling is not None
    source = translation.graph.tensors[given].scaling
    assert source is not None
    scale = (source.scale * kept.scaling.scale).astype(np.float32)
    steps = np.rint(weights.bias / scale).astype(np.int32) if weights.steps is None else weights.steps
    bias = translation.constant(steps, Scaling(scale, np.zeros(len(scale), np.int64)))
    return [translation.constant(kept.values, kept.scaling), bias]


def shape_of(translation: Translation, source: int, inner: tuple[int, ...]) -> int:
    """A tensor with a shape, int32.

    Args:
        translation: the graph, which gets the operators.
        source: a tensor with the batch along its first axis.
        inner: the sizes behind that of the batch.
    """
    rank = len(translation.graph.tensors[source].shape)
    shape, batch = (translation.between((size,), type_=schema.TensorType.INT32) for size in (rank, 1))
    translation.call(Code.SHAPE, [source], [shape], option(schema.ShapeOptionsT(), outType=schema.TensorType.INT32))
    ends = [translation.constant(np.array([each], np.int32)) for each in (0, 1, 1)]
    translation.call(Code.STRIDED_SLICE, [shape, *ends], [batch], schema.StridedSliceOptionsT())
    joined = translation.between((len(inner) + 1,), type_=schema.TensorType.INT32)
    rest = translation.constant(np.array(inner, np.int32))
    translation.call(Code.CONCATENATION, [batch, rest], [joined], schema.ConcatenationOptionsT())
    return joined
