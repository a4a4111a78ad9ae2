"""What operators cost that run again and again, or in one branch of two."""

from collections.abc import Sequence
from dataclasses import replace

from octavo.backends.operators import Operator


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
