"""A kind of tampering: what is changed, by which way, and why it may have no bearing on a command."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.attacks.victim import Victim

Change = Callable[[Victim], object]


@dataclass(frozen=True)
class Kind:
    """One thing that somebody changes behind Octavo's back."""

    group: str
    name: str
    way: str
    """`client`, `database` or `files`."""
    change: Change


def kinds_of(group: str, way: str, changes: dict[str, Change]) -> Iterator[Kind]:
    """A kind for each of these changes."""
    yield from (Kind(group, name, way, change) for name, change in changes.items())
