"""The contents of a model file of any format: the parameters that it stores, and the operators that will run.

**Parameters** are stored tensors that an operator reads as data, directly or through conversions and changes of shape.
They have a float type, or an integer type that represents float values. Every parameter is a weight, except

- biases: the bias input of a linear layer or a normalization, and any constant vector (at most one axis longer than 1)
  that Add or Sub adds;
- settings, which do not count as parameters: constants of one element, shapes, axes and indices, scales and zero
  points, clip bounds, fill values, and the initial state of a recurrent layer or a loop.

So embedding tables, slopes of PReLU, scales of normalizations, constant operands of Mul or Einsum, and position
embeddings are weights. Operators in the subgraphs of Loop, If and Scan, or of WHILE and IF, count as readers too.

**Multiply-accumulates** are the products that an operator sums: those of convolutions (padding counts like pixels),
matrix products, recurrent layers and attention, with or without weights. Element-wise products, pooling and
interpolation have none. The cost of an unknown operator is unknown: None.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

MOVERS = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "StridedSlice", "Pack"}
)
"""Operators that move values without computing. The type of the values does not matter."""


@dataclass(frozen=True)
class Parameter:
    """One stored tensor of weights or biases."""

    kind: Literal["weight", "bias"]
    elements: int
    file_bytes: int
    integer: bool | None
    """Whether it is stored as integers; None if an unknown operator holds it in an unknown form."""


@dataclass(frozen=True)
class Operator:
    """One operator of the graph that will run."""

    name: str
    type: str
    macs: int | None
    """Multiply-accumulates per image; None if the operator is unknown, or if the number of its runs depends on data."""
    integer: bool
    """Whether it computes in integers. Operators that only convert or move values count as integer."""


def repeated(operators: Sequence[Operator], times: int | None) -> list[Operator]:
    """The operators of a loop's body, with the cost of `times` runs.

    If `times` is None (unknown), each cost is unknown too, unless it is 0.
    """
    return [replace(each, macs=each.macs and (None if times is None else times * each.macs)) for each in operators]


def either(one: Sequence[Operator], other: Sequence[Operator]) -> list[Operator]:
    """The operators of both branches of a condition.

    If both branches cost the same, that cost counts once. Otherwise the costs are unknown.
    """
    sums = _sums(one)
    if sums is not None and sums == _sums(other):
        return [*one, *(replace(each, macs=0) for each in other)]
    return repeated([*one, *other], None)


def _sums(operators: Sequence[Operator]) -> tuple[int, int] | None:
    """Multiply-accumulates of all operators, and of the integer ones; None if some are unknown."""
    known = [(each.macs, each.integer) for each in operators if each.macs is not None]
    if len(known) < len(operators):
        return None
    return sum(macs for macs, _ in known), sum(macs for macs, integer in known if integer)
