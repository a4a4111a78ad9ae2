"""Operators that LiteRT has only in parts: normalizations, and activations without a kernel of their own."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import ending
from octavo.quantization.litert.operators import activations
from octavo.quantization.litert.operators.activations import apply
from octavo.quantization.litert.translation import Code, Translation, option

SELU_ALPHA, SELU_GAMMA = 1.6732632423543772, 1.0507009873554805
"""Source: ONNX's specification of Selu."""
LARGEST = 127
"""Of int8."""
PROBABILITIES = Scaling(np.array([1 / 256], np.float32), np.array([-128]))
"""The one range of an integer Softmax."""


def batch_normalization(translation: Translation, node: onnx.NodeProto) -> None:
    """BatchNormalization that no layer before it took in: a product and a sum."""
    gain, shift, mean, variance = (translation.constants[name].astype(np.float64) for name in node.input[1:5])
    factor = gain / np.sqrt(variance + qdq.attribute(node, "epsilon", 1e-5))
    _affine(translation, node, factor, shift - mean * factor)


def _affine(translation: Translation, node: onnx.NodeProto, factor: np.ndarray, shift: np.ndarray) -> None:
    """Each channel times a number plus a number."""
    source, order = node.input[0], translation.order(node.input[0])
    given = translation.tensor(source, order)
    scaled = translation.between(translation.graph.tensors[given].shape)
    result = translation.hold(node.output[0], order)
    numbers = [translation.constant(_along_channels(each, order).astype(np.float32)) for each in (factor, shift)]
    translation.call(Code.MUL, [given, numbers[0]], [scaled], schema.MulOptionsT())
    translation.call(Code.ADD, [scaled, numbers[1]], [result], option(schema.AddOptionsT(), potScaleInt16=False))


def _along_channels(values: np.ndarray, order: layouts.Order) -> np.ndarray:
    """One value per channel, in a shape that lies along the channels of a tensor in `order`."""
    return values.reshape([-1 if axis == 1 else 1 for axis in order])


def layer_normalization(translation: Translation, node: onnx.NodeProto) -> None:
    """LayerNormalization, over the axes from `axis` on."""
    source, rank = node.input[0], translation.rank(node.input[0])
    order = layouts.same(rank)
    first = qdq.attribute(node, "axis", -1) % rank
    given = translation.tensor(source, order)
    gain = translation.constants[node.input[1]]
    shift = translation.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
    _normalized(translation, node, given, order, list(range(first, rank)), (gain, shift))


def instance_normalization(translation: Translation, node: onnx.NodeProto) -> None:
    """InstanceNormalization, over the spatial axes of each channel."""
    source = node.input[0]
    order = translation.order(source)
    given = translation.tensor(source, order)
    places = [place for place, axis in enumerate(order) if axis > 1]
    gain, shift = (_along_channels(translation.constants[name], order) for name in node.input[1:3])
    _normalized(translation, node, given, order, places, (gain, shift))


def _normalized(
    translation: Translation,
    node: onnx.NodeProto,
    given: int,
    order: layouts.Order,
    places: list[int],
    line: tuple[np.ndarray, np.ndarray | None],
) -> None:
    """Values less their mean, divided by their standard deviation, times a gain plus a shift.

    Args:
        translation: the graph.
        node: the operator.
        given: the tensor.
        order: of its axes.
        places: axes of the tensor to normalize along.
        line: gain and shift, which broadcast.
    """
    shape = translation.graph.tensors[given].shape
    small = tuple(1 if place in places else size for place, size in enumerate(shape))
    axes, keep = translation.constant(np.array(places, np.int32)), option(schema.ReducerOptionsT(), keepDims=True)
    mean, squares, variance, safe, inverse = (translation.between(each) for each in (small, shape, small, small, small))
    centred, scaled, gained = (translation.between(shape) for _ in range(3))
    add, result = option(schema.AddOptionsT(), potScaleInt16=False), translation.hold(node.output[0], order)
    translation.call(Code.MEAN, [given, axes], [mean], keep)
    translation.call(Code.SQUARED_DIFFERENCE, [given, mean], [squares], schema.SquaredDifferenceOptionsT())
    translation.call(Code.MEAN, [squares, axes], [variance], keep)
    epsilon = translation.constant(np.array(qdq.attribute(node, "epsilon", 1e-5), np.float32))
    translation.call(Code.ADD, [variance, epsilon], [safe], add)
    translation.call(Code.RSQRT, [safe], [inverse])
    translation.call(Code.SUB, [given, mean], [centred], option(schema.SubOptionsT(), potScaleInt16=False))
    translation.call(Code.MUL, [centred, inverse], [scaled], schema.MulOptionsT())
    gain, shift = line
    target = gained if shift is not None else result
    translation.call(Code.MUL, [scaled, translation.constant(gain)], [target], schema.MulOptionsT())
    if shift is not None:
        translation.call(Code.ADD, [gained, translation.constant(shift)], [result], add)


def softmax(translation: Translation, node: onnx.NodeProto) -> None:
    """Softmax along any axis. In integers it gives 1/256 a step."""
    order = _with_last(translation, node)
    options = option(schema.SoftmaxOptionsT(), beta=1.0)
    activations.in_one_range(translation, node, Code.SOFTMAX, PROBABILITIES, options, order)


def log_softmax(translation: Translation, node: onnx.NodeProto) -> None:
    """LogSoftmax along any axis."""
    order = _with_last(translation, node)
    given = translation.tensor(node.input[0], order)
    translation.call(Code.LOG_SOFTMAX, [given], [translation.hold(node.output[0], order)], schema.LogSoftmaxOptionsT())


def _with_last(translation: Translation, node: onnx.NodeProto) -> layouts.Order:
    """An order of axes in which the operator's axis is the last one."""
    order = translation.order(node.input[0])
    axis = qdq.attribute(node, "axis", -1) % len(order)
    if order[-1] == axis:
        return order
    return (*(each for each in range(len(order)) if each != axis), axis)


def hard_sigmoid(translation: Translation, node: onnx.NodeProto) -> None:
    """HardSigmoid. In integers a product that changes the step alone, and a sum whose range cuts at 0 and 1."""
    source, end = node.input[0], ending(translation, node)
    if end.scaling is None or not translation.is_integer(source):
        activation(translation, node)
        return
    order, scaling = translation.order(source), translation.scaling(source)
    alpha, beta = (float(qdq.attribute(node, name, default)) for name, default in (("alpha", 0.2), ("beta", 0.5)))
    given = translation.tensor(source, order, integer=True)
    result, line = translation.hold(end.value, order, end.scaling), -1
    if beta:
        scaled = Scaling((scaling.scale * np.float32(alpha)).astype(np.float32), scaling.zero)
        line = translation.between(translation.graph.tensors[given].shape, scaled)
    target = line if beta else result
    translation.call(Code.MUL, [given, _number(translation, alpha)], [target], schema.MulOptionsT(), 2)
    if beta:
        add = option(schema.AddOptionsT(), potScaleInt16=False)
        translation.call(Code.ADD, [line, _number(translation, beta)], [result], add, 2)


def _number(translation: Translation, value: float) -> int:
    """A number in int8, exactly."""
    step = np.array([abs(value) / LARGEST], np.float32)
    return translation.constant(np.array([np.copysign(LARGEST, value)], np.int8), Scaling(step, np.array([0])))


def activation(translation: Translation, node: onnx.NodeProto) -> None:
    """HardSigmoid, Elu, Selu, Celu, Softplus, Softsign, Mish, Reciprocal."""
    order = translation.order(node.input[0])
    given = translation.tensor(node.input[0], order)
    shape = translation.graph.tensors[given].shape
    result = translation.hold(node.output[0], order)

    def step(code: int, source: int, other: float | int | None = None, target: int | None = None) -> int:
        """One operator; `other` is a number if it is a float, and a tensor if it is an int."""
        into = translation.between(shape) if target is None else target
        if isinstance(other, int):
            translation.call(code, [source, other], [into], activations.OPTIONS[code]())
            return into
        return apply(translation, code, source, other, into)

    def exponential(alpha: float, width: float, gamma: float) -> None:
        """Gamma * (max(x, 0) + alpha * (exp(min(x, 0) / width) - 1))."""
        low = step(Code.MINIMUM, given, 0.0)
        low = low if width == 1 else step(Code.DIV, low, width)
        low = step(Code.MUL, step(Code.SUB, step(Code.EXP, low), 1.0), alpha * gamma)
        high = step(Code.RELU, given)
        step(Code.ADD, high if gamma == 1 else step(Code.MUL, high, gamma), low, result)

    match node.op_type:
        case "HardSigmoid":
            line = step(Code.MUL, given, float(qdq.attribute(node, "alpha", 0.2)))
            line = step(Code.ADD, line, float(qdq.attribute(node, "beta", 0.5)))
            step(Code.MINIMUM, step(Code.MAXIMUM, line, 0.0), 1.0, result)
        case "Elu" if qdq.attribute(node, "alpha", 1.0) == 1:
            translation.call(Code.ELU, [given], [result])
        case "Elu":
            exponential(float(qdq.attribute(node, "alpha", 1.0)), 1.0, 1.0)
        case "Celu":
            alpha = float(qdq.attribute(node, "alpha", 1.0))
            exponential(alpha, alpha, 1.0)
        case "Selu":
            exponential(
                float(qdq.attribute(node, "alpha", SELU_ALPHA)), 1.0, float(qdq.attribute(node, "gamma", SELU_GAMMA))
            )
        case "Softplus":
            _softplus(step, given, result)
        case "Mish":
            step(Code.MUL, step(Code.TANH, _softplus(step, given, None)), given, result)
        case "Softsign":
            step(Code.DIV, given, step(Code.ADD, step(Code.ABS, given), 1.0), result)
        case "Reciprocal":
            one = translation.constant(np.array(1, np.float32))
            translation.call(Code.DIV, [one, given], [result], schema.DivOptionsT())


def _softplus(step: object, given: int, target: int | None) -> int:
    """max(x, 0) + log(1 + exp(-|x|)): no exponential overflows."""
    assert callable(step)
    small = step(Code.LOG, step(Code.ADD, step(Code.EXP, step(Code.NEG, step(Code.ABS, given))), 1.0))
    return int(step(Code.ADD, step(Code.RELU, given), small, target))
