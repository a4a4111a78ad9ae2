"""Four eyes: how tags and records say that one person asked for a promotion and others approved it.

The requester stores the planned record beside the audit log, and the tag `audit.request` names its number and hash.
This binds the request to everything in the record: the version, its bytes, the champion and the preceding record.
Approvers add their names to the tag `audit.approved`, which names the same hash. The record of the move is the request
plus its own time, the hash of the request and the names of the approvers.
"""

import json
from contextlib import suppress

from octavo.promotion.audit_record import FOLDER, ORIGIN, Move
from octavo_mlflow.registry.standing import APPROVED, NUMBER, REQUEST, State

NAMED = {"model", FOLDER, "grounds"}
"""Digests that a request must have. Without them it would not be bound to what was judged."""


def asked(now: State) -> tuple[int, str] | None:
    """Number and hash of the open request, or None if there is none."""
    number, _, known = now.tags.get(REQUEST, "").partition(" ")
    if not NUMBER.fullmatch(number) or len(known) != len(ORIGIN):
        return None
    return int(number), known


def approvers(now: State, request: str) -> tuple[str, ...]:
    """The names of those who approved the request with that hash."""
    named, by = parsed(now.tags.get(APPROVED))
    return by if named == request else ()


def tag(request: str, by: tuple[str, ...]) -> str:
    """The value of the tag `audit.approved` for this request and these approvers."""
    return json.dumps({"by": by, "request": request}, separators=(",", ":"))


def parsed(text: str | None) -> tuple[str, tuple[str, ...]]:
    """The hash and the names in `audit.approved`; an empty hash and no names if the tag holds anything else."""
    with suppress(ValueError, RecursionError, TypeError, KeyError):
        found = json.loads(text or "")
        by = tuple(str(name) for name in found["by"])
        if tag(found["request"], by) == text:
            return str(found["request"]), by
    return "", ()


def granted(request: Move, by: tuple[str, ...], when: str) -> Move:
    """The record of the move that `request` asks for.

    Args:
        request: the planned record.
        by: names of the approvers.
        when: time of the move, ISO 8601.
    """
    return request.model_copy(update={"request": request.hash, "approved": by, "when": when})


def is_of(move: Move, request: Move) -> bool:
    """Whether the record is exactly what was requested."""
    return granted(request, move.approved, move.when) == move
