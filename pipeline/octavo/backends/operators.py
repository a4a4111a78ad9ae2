"""What a model file is made of: the parameters it stores and the operators that will run, whatever the format.

**Parameters** are the stored tensors that an operator reads as data, through conversions and changes of shape: of a
float type, or of integers that stand for float values. Every one is a weight, except

- biases: what a linear layer or a normalization adds by its own input, and any constant vector (at most one axis
  longer than 1) that Add or Sub adds;
- settings, which are no parameters at all: constants of one element, shapes, axes and indices, scales and zero points,
  clip bounds, fill values, and the initial state of a recurrent layer or a loop.

So embedding tables, slopes of PReLU, scales of normalizations, constant operands of Mul or Einsum, and position
embeddings are weights. Operators in the subgraphs of Loop, If and Scan, or of WHILE and IF, read them as well.

**Multiply-accumulates** are the products that an operator sums: of convolutions (padding counted like pixels), matrix
products, recurrent layers and attention, weights or not. Element by element products, poolings and interpolations have
none. An operator that nobody here knows could do anything: what it takes is None, unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

MOVERS = frozenset(
    {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "StridedSlice", "Pack"}
)
"""Operators that move values without computing; what type they move is of no interest."""


@dataclass(frozen=True)
class Parameter:
    """One stored tensor of weights or biases."""

    kind: Literal["weight", "bias"]
    elements: int
    file_bytes: int
    integer: bool | None
    """None where an operator that nobody knows may hold it in a form of its own."""


@dataclass(frozen=True)
class Operator:
    """One operator of the graph as it will run, `macs` multiply-accumulates an image."""

    name: str
    type: str
    macs: int | None
    """None where they cannot be counted: the operator is unknown, or how often it runs depends on the data."""
    integer: bool
    """It computes in integers. Operators that only convert or move values count as such."""


def repeated(operators: Sequence[Operator], times: int | None) -> list[Operator]:
    """The body of a loop; what it costs is unknown where the number of its runs is (None), unless it costs nothing."""
    return [replace(each, macs=each.macs and (None if times is None else times * each.macs)) for each in operators]


def either(one: Sequence[Operator], other: Sequence[Operator]) -> list[Operator]:
    """Both branches of a choice; which of them runs matters only where they do not come to the same."""
    sums = _sums(one)
    if sums is not None and sums == _sums(other):
        return [*one, *(replace(each, macs=0) for each in other)]
    return repeated([*one, *other], None)


def _sums(operators: Sequence[Operator]) -> tuple[int, int] | None:
    """Multiply-accumulates of all and of those in integers; None where they are unknown."""
    known = [(each.macs, each.integer) for each in operators if each.macs is not None]
    if len(known) < len(operators):
        return None
    return sum(macs for macs, _ in known), sum(macs for macs, integer in known if integer)
