"""Four eyes: a promotion that one person asked for and others approve, as tags and records say it.

Who asks leaves the planned record beside the audit log, and the tag `audit.request` names its number and its hash. So
it is bound to all that the record says: the version, its bytes, and the champion and the record that come before. Who
approves adds their name to the tag `audit.approved`, which names the same hash. The record of the move is the request,
with its own time, the hash of the request and the names of those who approved.
"""

import json
from contextlib import suppress

from octavo.promotion.audit_record import FOLDER, ORIGIN, Move
from octavo_mlflow.registry.standing import APPROVED, NUMBER, REQUEST, State

NAMED = {"model", FOLDER, "grounds"}
"""Digests without which a request would not be bound to what was judged."""


def asked(now: State) -> tuple[int, str] | None:
    """Number and hash of the open request; None where there is none."""
    number, _, known = now.tags.get(REQUEST, "").partition(" ")
    if not NUMBER.fullmatch(number) or len(known) != len(ORIGIN):
        return None
    return int(number), known


def approvers(now: State, request: str) -> tuple[str, ...]:
    """Who approved the request of that hash."""
    named, by = parsed(now.tags.get(APPROVED))
    return by if named == request else ()


def tag(request: str, by: tuple[str, ...]) -> str:
    """What `audit.approved` says where these people approved the request of that hash."""
    return json.dumps({"by": by, "request": request}, separators=(",", ":"))


def parsed(text: str | None) -> tuple[str, tuple[str, ...]]:
    """The hash and the names in `audit.approved`; an empty hash and nobody where it says something else."""
    with suppress(ValueError, RecursionError, TypeError, KeyError):
        found = json.loads(text or "")
        by = tuple(str(name) for name in found["by"])
        if tag(found["request"], by) == text:
            return str(found["request"]), by
    return "", ()


def granted(request: Move, by: tuple[str, ...], when: str) -> Move:
    """The record of the move that `request` asks for."""
    return request.model_copy(update={"request": request.hash, "approved": by, "when": when})


def is_of(move: Move, request: Move) -> bool:
    """Whether a record says what was asked for, and nothing else."""
    return granted(request, move.approved, move.when) == move
