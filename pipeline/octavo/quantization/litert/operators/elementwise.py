"""Operators that compute each value from the values at the same place."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import Ending, bounds, ending
from octavo.quantization.litert.translation import Code, Packed, Translation, Type, option

BINARY = {
    "Add": (Code.ADD, schema.AddOptionsT),
    "Sub": (Code.SUB, schema.SubOptionsT),
    "Mul": (Code.MUL, schema.MulOptionsT),
    "Div": (Code.DIV, schema.DivOptionsT),
    "Max": (Code.MAXIMUM, schema.MaximumMinimumOptionsT),
    "Min": (Code.MINIMUM, schema.MaximumMinimumOptionsT),
    "Pow": (Code.POW, schema.PowOptionsT),
}
COMPARISONS = {
    "Equal": (Code.EQUAL, schema.EqualOptionsT),
    "Greater": (Code.GREATER, schema.GreaterOptionsT),
    "GreaterOrEqual": (Code.GREATER_EQUAL, schema.GreaterEqualOptionsT),
    "Less": (Code.LESS, schema.LessOptionsT),
    "LessOrEqual": (Code.LESS_EQUAL, schema.LessEqualOptionsT),
    "And": (Code.LOGICAL_AND, schema.LogicalAndOptionsT),
    "Or": (Code.LOGICAL_OR, schema.LogicalOrOptionsT),
}
FUSING = ("Add", "Sub", "Mul", "Div")
IN_INTEGERS = ("Add", "Sub", "Mul")
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


def binary(translation: Translation, node: onnx.NodeProto) -> None:
    """An operator on two values, which broadcast; of more than two, one after another."""
    first, *others = node.input
    if not others:
        translation.alias(node.output[0], first)
        return
    if len(others) > 1:
        names = [f"{node.output[0]}/{place}" for place in range(len(others) - 1)] + [node.output[0]]
        for name, other in zip(names, others, strict=True):
            translation.shapes.setdefault(name, np.broadcast_shapes(translation.shape(first), translation.shape(other)))
            _pair(translation, node.op_type, first, other, Ending(name, 0, None))
            first = name
        return
    end = ending(translation, node, fuses=node.op_type in FUSING)
    _pair(translation, node.op_type, first, others[0], end)


def _pair(translation: Translation, kind: str, first: str, second: str, end: Ending) -> None:
    integers = end.scaling is not None and kind in IN_INTEGERS and all(map(translation.is_integer, (first, second)))
    rank = translation.rank(end.value)
    order = next(
        (
            translation.order(name)
            for name in (first, second)
            if not translation.is_constant(name) and translation.rank(name) == rank
        ),
        layouts.same(rank),
    )
    given = [operand(translation, name, order, integers) for name in (first, second)]
    result = translation.hold(end.value, order, end.scaling if integers else None)
    code, options = BINARY[kind]
    made = options()
    if kind in FUSING:
        made.fusedActivationFunction = end.activation
    if kind in ("Add", "Sub"):
        made.potScaleInt16 = False
    translation.call(code, given, [result], made, 2 if integers else 1)


def operand(translation: Translation, name: str, order: layouts.Order, integers: bool = False) -> int:
    """A tensor of a value that broadcasts to a result in `order`.

    A constant of lower rank gets axes of size 1 where its value has none. A single number needs no axes.

    Args:
        translation: the graph, which gets a Reshape where a value that is no constant has fewer axes.
        name: of the value.
        order: of the axes of the result.
        integers: whether the tensor is to be in integers; otherwise in float.
    """
    rank, own = len(order), translation.rank(name)
    if own == rank:
        return translation.tensor(name, order, integers)
    if not translation.is_constant(name):
        lead = [1] * (rank - own)
        plain = translation.tensor(name, layouts.same(own), integers)
        if order == layouts.same(rank):
            return plain
        wide = f"{name}/{rank}"
        translation.shapes[wide] = (*lead, *translation.shape(name))
        if not translation.is_held(wide, integers):
            result = translation.hold(wide, layouts.same(rank), translation.scaling(name) if integers else None)
            shape = [*lead, *translation.target(name)]
            translation.call(Code.RESHAPE, [plain, translation.constant(np.array(shape, np.int32))], [result])
        return translation.tensor(wide, order, integers)
    kept = translation.kept.get(name) or Packed(translation.constants[name], None)
    values = kept.values
    if values.size > 1:
        values = values.reshape([1] * (rank - own) + list(values.shape)).transpose(order)
    if name not in translation.kept:
        return translation.constant(values)
    return translation.stored(Packed(values, kept.scaling), integers)


def comparison(translation: Translation, node: onnx.NodeProto) -> None:
    """A comparison of two values, or a logical operator on two, which broadcast."""
    code, options = COMPARISONS[node.op_type]
    order = _order(translation, node)
    given = [operand(translation, name, order) for name in node.input]
    shape = layouts.shaped(translation.shape(node.output[0]), order)
    result = translation.between(shape, type_=Type.BOOL)
    translation.hold_as(node.output[0], result, order)
    translation.call(code, given, [result], options())


def choice(translation: Translation, node: onnx.NodeProto) -> None:
    """Where."""
    order = _order(translation, node)
    given = [operand(translation, name, order) for name in node.input]
    translation.call(Code.SELECT_V2, given, [translation.hold(node.output[0], order)], schema.SelectV2OptionsT())


def _order(translation: Translation, node: onnx.NodeProto) -> layouts.Order:
    """The order of axes that the first computed operand of full rank has."""
    rank = translation.rank(node.output[0])
    whole = (name for name in node.input if not translation.is_constant(name) and translation.rank(name) == rank)
    return next((translation.order(name) for name in whole), layouts.same(rank))


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


OPTIONS = {code: made for code, made in (*BINARY.values(), *UNARY.values()) if made is not None} | {
    Code.SQUARE: schema.SquareOptionsT,
    Code.SQUARED_DIFFERENCE: schema.SquaredDifferenceOptionsT,
}


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
