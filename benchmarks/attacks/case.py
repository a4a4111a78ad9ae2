"""A command that is killed, and what has to be true afterwards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LEFT = "left behind"
"""How a clause begins that is told and is no fault: what lies there hurts nobody."""


@dataclass(frozen=True)
class Case:
    """A command, and what has to be true when it was killed and run again."""

    name: str
    prepare: Callable[[], None]
    """Let everything be as before the command."""
    start: Callable[[], int]
    """Start it; the leader of its process group."""
    written: Callable[[], Any]
    """What its first write changes."""
    again: Callable[[], list[str]]
    """Run it again, with what that needs; what is lost, doubled or stuck, or left behind, a clause each."""
    share: int
    """Of a hundred kills so many."""
