"""Multiply-accumulates of one LiteRT operator, from the shapes of its inputs and outputs.

Source of the layouts: the operators' kernels in LiteRT (tflite/kernels). For the sequence operators, the positions of
the inputs are those of `tflite/kernels/lstm_shared.h` and of the constants in the kernels.
"""

from collections.abc import Callable, Collection, Sequence
from math import prod

from ai_edge_litert import schema_py_generated as schema

Code = schema.BuiltinOperator
Shape = tuple[int, ...]
Formula = Callable[[schema.OperatorT, Sequence[Shape | None], Shape], int]
"""Operator, shapes of its inputs (None for an omitted one), shape of its first output -> multiply-accumulates."""

CHECKED = Code.DILATE
"""The last builtin operator that was reviewed. A later operator is unknown until it is added to this module."""
UNKNOWN = frozenset({Code.CUSTOM, Code.DELEGATE, Code.EMBEDDING_LOOKUP_SPARSE, Code.RFFT2D}) | {
    code for name, code in vars(Code).items() if name.startswith("STABLEHLO_")
}
"""Older operators that can compute anything, or that sum products in a way that is not counted here."""
LSTM_WEIGHTS = frozenset({*range(1, 9), 16})
BOTH_LSTM_WEIGHTS = LSTM_WEIGHTS | {*range(18, 26), 33, *range(40, 48)}


def count(code: int, operator: schema.OperatorT, inputs: Sequence[Shape | None], output: Shape) -> int | None:
    """Multiply-accumulates of one run of an operator; None if the operator is unknown.

    Args:
        code: the operator's number in `BuiltinOperator`.
        operator: the operator.
        inputs: shapes of its inputs, None for an omitted one.
        output: shape of its first output.
    """
    if code in FORMULAS:
        return FORMULAS[code](operator, inputs, output)
    return 0 if is_known(code) else None


def is_known(code: int) -> bool:
    """Whether the operator with this number in `BuiltinOperator` was reviewed and its cost can be counted."""
    return code <= CHECKED and code not in UNKNOWN


def _size(shape: Shape | None) -> int:
    assert shape is not None, "this operator requires the input"
    return prod(shape)


def _channels_at(axis: int) -> Formula:
    """Each output is a sum over one kernel. The weights, input 1, have the output channels along `axis`."""

    def formula(operator: schema.OperatorT, inputs: Sequence[Shape | None], output: Shape) -> int:
        weights = inputs[1]
        return prod(output) * _size(weights) // weights[axis] if weights and weights[axis] else 0

    return formula


def _transposed_convolution(operator: schema.OperatorT, inputs: Sequence[Shape | None], output: Shape) -> int:
    """Each value of the images, input 2, is multiplied by its kernel once. The weights have the input channels last."""
    weights = inputs[1]
    return _size(inputs[2]) * _size(weights) // weights[-1] if weights and weights[-1] else 0


def _product(operator: schema.OperatorT, inputs: Sequence[Shape | None], output: Shape) -> int:
    first = inputs[0] or (1,)
    return prod(output) * first[-2 if operator.builtinOptions and operator.builtinOptions.adjX else -1]


def _recurrent(places: Collection[int]) -> Formula:
    """Every step of every example multiplies all weights, which are the inputs at `places`."""

    def formula(operator: schema.OperatorT, inputs: Sequence[Shape | None], output: Shape) -> int:
        data = inputs[0] or (1,)
        weights = [shape for place, shape in enumerate(inputs) if place in places and shape]
        return prod(data[:-1]) * sum(map(prod, weights))

    return formula


def _lstm(operator: schema.OperatorT, inputs: Sequence[Shape | None], output: Shape) -> int:
    """One step. The basic kernel has 5 inputs, with all weights in input 2."""
    return _recurrent({2} if len(inputs) == 5 else LSTM_WEIGHTS)(operator, inputs, output)


FORMULAS: dict[int, Formula] = {
    Code.CONV_2D: _channels_at(0),
    Code.DEPTHWISE_CONV_2D: _channels_at(3),
    Code.FULLY_CONNECTED: _channels_at(0),
    Code.CONV_3D: _channels_at(4),
    Code.TRANSPOSE_CONV: _transposed_convolution,
    Code.CONV_3D_TRANSPOSE: _transposed_convolution,
    Code.BATCH_MATMUL: _product,
    Code.LSTM: _lstm,
    Code.UNIDIRECTIONAL_SEQUENCE_LSTM: _recurrent(LSTM_WEIGHTS),
    Code.BIDIRECTIONAL_SEQUENCE_LSTM: _recurrent(BOTH_LSTM_WEIGHTS),
    Code.RNN: _recurrent({1, 2}),
    Code.UNIDIRECTIONAL_SEQUENCE_RNN: _recurrent({1, 2}),
    Code.BIDIRECTIONAL_SEQUENCE_RNN: _recurrent({1, 2, 5, 6, 10, 11}),
    Code.SVDF: _recurrent({1, 2}),
}
