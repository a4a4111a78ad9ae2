"""Repeat a recorded verdict from its recorded grounds."""

import math
from collections.abc import Iterator

from octavo.project.errors import OctavoError
from octavo.project.files import json_file
from octavo.promotion.audit_record import Move
from octavo.promotion.contradictions import joined
from octavo.promotion.decision import Reason
from octavo.promotion.evidence import Grounds, faults, judge


def differences(move: Move, text: str) -> Iterator[str]:
    """Where `text`, the JSON of `Grounds`, leads to another verdict than the record's, one clause each."""
    try:
        grounds = json_file.parse_record(text, Grounds)
        wrong = list(faults(grounds))
    except (json_file.Unreadable, OctavoError) as error:
        yield f"what it was judged by cannot be read by this release of Octavo ({str(error).rstrip('.')})"
        return
    if wrong:
        yield f"figures that it was judged by contradict each other: {joined(wrong)}"
        return
    again = judge(grounds).reasons
    before = {reason.name: reason for reason in move.reasons}
    for reason in again:
        if not _alike(before.pop(reason.name, None), reason):
            yield f"{reason.name} is now {reason}"
    yield from (f"{name} is no longer judged" for name in before)


def _alike(one: Reason | None, other: Reason) -> bool:
    """Equal, up to differences between releases of the numerical libraries."""
    if one is None or one.found is not other.found:
        return False
    if one.value is None or other.value is None:
        return one.value is other.value
    return math.isclose(one.value, other.value, rel_tol=1e-6, abs_tol=1e-9)
