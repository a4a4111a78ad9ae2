"""What a model file is made of: the parameters it stores and the operators that will run, whatever the format."""

from dataclasses import dataclass
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
    integer: bool


@dataclass(frozen=True)
class Operator:
    """One operator of the graph as it will run, `macs` multiply-accumulates an image."""

    name: str
    type: str
    macs: int
    integer: bool
    """It computes in integers. Operators that only convert or move values count as such."""
