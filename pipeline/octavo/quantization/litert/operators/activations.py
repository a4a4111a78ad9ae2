"""Operators that compute each value from one value: activations, and elementary functions."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import bounds, ending
from octavo.quantization.litert.operators.elementwise import BINARY, operand
from octavo.quantization.litert.translation import Code, Translation, option

UNARY = {
    "Abs": (Code.ABS, schema.AbsOptionsT),
    "Ceil": (Code.CEIL, None),
    "Cos": (Code.COS, schema.CosOptionsT),
    "Exp": (Code.EXP, schema.ExpOptionsT),
    "Floor": (Code.FLOOR, None),
    "Log": (Code.LOG, None),
    "Neg": (Code.NEG, schema.NegOptionsT),
    "Round": (Code.ROUND, None),
    "Sign": (Code.SIGN, schema.SignOptionsT),
    "Sin": (Code.SIN, None),
    "Sqrt": (Code.SQRT, None),
    "HardSwish": (Code.HARD_SWISH, schema.HardSwishOptionsT),
}
FIXED = {
    "Sigmoid": (Code.LOGISTIC, Scaling(np.array([1 / 256], np.float32), np.array([-128]))),
    "Tanh": (Code.TANH, Scaling(np.array([1 / 128], np.float32), np.array([0]))),
}
"""Operators whose integer kernels give one range only."""
COARSEST = 2
"""Steps of the range that is asked for."""
INTEGER_UNARY = ("HardSwish", "LeakyRelu")
OPTIONS = {code: made for code, made in (*BINARY.values(), *UNARY.values()) if made is not None} | {
    Code.SQUARE: schema.SquareOptionsT,
    Code.SQUARED_DIFFERENCE: schema.SquaredDifferenceOptionsT,
}


def clip(translation: Translation, node: onnx.NodeProto) -> None:
    """Relu and Clip that no operator before them applies."""
    source, end = node.input[0], ending(translation, node)
    limits, order = bounds(translation, node), translation.order(source)
    if limits is None:
        raise ModelError("a Clip with computed bounds has no form in LiteRT")
    known = {(0.0, np.inf): Code.RELU, (0.0, 6.0): Code.RELU6, (-1.0, 1.0): Code.RELU_N1_TO_1}
    if limits in known:
        integers = end.scaling is not None and translation.is_integer(source)
        given = translation.tensor(source, order, integers)
        result = translation.hold(end.value, order, end.scaling if integers else None)
        version = 2 if integers and known[limits] != Code.RELU_N1_TO_1 else 1
        translation.call(known[limits], [given], [result], None, version)
        return
    given = translation.tensor(source, order)
    steps = [(Code.MAXIMUM, limits[0]), (Code.MINIMUM, limits[1])]
    chain(translation, node.output[0], order, given, [(code, limit) for code, limit in steps if np.isfinite(limit)])


def chain(
    translation: Translation, name: str, order: layouts.Order, given: int, steps: list[tuple[int, float | None]]
) -> None:
    """Operators one after another, each with a number as second input or alone.

    Args:
        translation: the graph.
        name: of the value that the last one computes.
        order: of the axes of all tensors.
        given: the first one's input.
        steps: operators and numbers.
    """
    if not steps:
        translation.hold_as(name, given, order)
        return
    shape = layouts.shaped(translation.shape(name), order)
    for place, (code, number) in enumerate(steps):
        result = translation.hold(name, order) if place == len(steps) - 1 else translation.between(shape)
        given = apply(translation, code, given, number, result)


def apply(translation: Translation, code: int, given: int, number: float | None, result: int) -> int:
    """One operator on a float tensor and perhaps a number.

    Args:
        translation: the graph, which gets the operator.
        code: a `BuiltinOperator`.
        given: the tensor.
        number: the second input; None for an operator with one input.
        result: the tensor that it writes.

    Returns:
        `result`.
    """
    inputs = [given] if number is None else [given, translation.constant(np.array(number, np.float32))]
    translation.call(code, inputs, [result], OPTIONS.get(code, lambda: None)())
    return result


def unary(translation: Translation, node: onnx.NodeProto) -> None:
    """An operator that LiteRT has too."""
    code, options = UNARY[node.op_type]
    end, order = ending(translation, node), translation.order(node.input[0])
    integers = end.scaling is not None and node.op_type in INTEGER_UNARY and translation.is_integer(node.input[0])
    given = translation.tensor(node.input[0], order, integers)
    result = translation.hold(end.value, order, end.scaling if integers else None)
    translation.call(code, [given], [result], options() if options else None)


def fixed(translation: Translation, node: onnx.NodeProto) -> None:
    """Sigmoid and Tanh. In integers their kernels give one range, which is rounded again where another is asked for."""
    code, scaling = FIXED[node.op_type]
    in_one_range(translation, node, code, scaling, None)


def in_one_range(
    translation: Translation,
    node: onnx.NodeProto,
    code: int,
    scaling: Scaling,
    options: object,
    order: layouts.Order | None = None,
) -> None:
    """An operator whose integer kernel gives one range only. It computes in float where much finer steps are asked for.

    Args:
        translation: the graph.
        node: the operator.
        code: LiteRT's.
        scaling: that range.
        options: of LiteRT's operator.
        order: of the axes; by default the one at hand.
    """
    end, order = ending(translation, node), order or translation.order(node.input[0])
    integers = translation.is_integer(node.input[0]) and end.scaling is not None and _suffices(scaling, end.scaling)
    given = translation.tensor(node.input[0], order, integers)
    if not integers or end.scaling is None:
        translation.call(code, [given], [translation.hold(end.value, order)], options)
        return
    result = translation.hold(end.value, order, end.scaling)
    inner = result
    if not _is(end.scaling, scaling):
        inner = translation.between(translation.graph.tensors[result].shape, scaling)
    translation.call(code, [given], [inner], options, 2)
    if inner != result:
        translation.call(Code.QUANTIZE, [inner], [result], schema.QuantizeOptionsT(), 2)


def _suffices(given: Scaling, wanted: Scaling) -> bool:
    """Whether rounding to `given` first loses less than one bit. The shares of many places in attention are small."""
    return bool(given.scale[0] <= COARSEST * wanted.scale[0])


def _is(first: Scaling, second: Scaling) -> bool:
    return bool(first.scale[0] == second.scale[0] and first.zero[0] == second.zero[0])


def leaky_relu(translation: Translation, node: onnx.NodeProto) -> None:
    """LeakyRelu."""
    end, order = ending(translation, node), translation.order(node.input[0])
    integers = end.scaling is not None and translation.is_integer(node.input[0])
    given = translation.tensor(node.input[0], order, integers)
    result = translation.hold(end.value, order, end.scaling if integers else None)
    options = option(schema.LeakyReluOptionsT(), alpha=qdq.attribute(node, "alpha", 0.01))
    translation.call(Code.LEAKY_RELU, [given], [result], options, 2 if integers else 1)


def prelu(translation: Translation, node: onnx.NodeProto) -> None:
    """PRelu. LiteRT takes slopes for each value of an example, which broadcast."""
    end, order = ending(translation, node), translation.order(node.input[0])
    source, slope = node.input
    integers = end.scaling is not None and all(map(translation.is_integer, (source, slope)))
    given = [translation.tensor(source, order, integers), operand(translation, slope, order, integers)]
    tensor = translation.graph.tensors[given[1]]
    if len(tensor.shape) == len(order):  # without the axis of the batch
        content = np.frombuffer(tensor.data or b"", np.int8 if integers else np.float32).reshape(tensor.shape)
        given[1] = translation.constant(content[0], tensor.scaling)
    result = translation.hold(end.value, order, end.scaling if integers else None)
    translation.call(Code.PRELU, given, [result])


def gelu(translation: Translation, node: onnx.NodeProto) -> None:
    """Gelu, exact or with tanh."""
    end, order = ending(translation, node), translation.order(node.input[0])
    given = translation.tensor(node.input[0], order)
    options = option(schema.GeluOptionsT(), approximate=qdq.attribute(node, "approximate", b"none") == b"tanh")
    translation.call(Code.GELU, [given], [translation.hold(end.value, order)], options)
