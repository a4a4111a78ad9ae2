"""Operators on several values, which broadcast."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import Ending, ending
from octavo.quantization.litert.translation import Code, Packed, Translation, Type

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
