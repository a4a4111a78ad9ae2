"""A recorded verdict, found again from what it was judged by."""

import math
from collections.abc import Iterator

from pipeline import json_file
from pipeline.decision import Reason
from pipeline.grounds import Grounds, judge
from pipeline.moves import Move


def differences(move: Move, text: str) -> Iterator[str]:
    """Where `text`, JSON of `Grounds`, leads to another verdict than the record has, a clause each."""
    try:
        again = judge(json_file.parse_record(text, Grounds)).reasons
    except json_file.Unreadable as error:
        yield f"what it was judged by cannot be read by this release of Octavo ({error})"
        return
    before = {reason.rule: reason for reason in move.reasons}
    for reason in again:
        if not _alike(before.pop(reason.rule, None), reason):
            yield f"{reason.rule} is now {reason}"
    yield from (f"{rule} is judged no more" for rule in before)


def _alike(one: Reason | None, other: Reason) -> bool:
    """Equal to what another release of a numerical library may compute otherwise."""
    if one is None or one.code != other.code:
        return False
    if one.value is None or other.value is None:
        return one.value is other.value
    return math.isclose(one.value, other.value, rel_tol=1e-6, abs_tol=1e-9)
