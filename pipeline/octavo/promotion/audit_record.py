"""The audit log: every move of the registry's aliases, each record bound to the one before by its hash.

A record says who moved what, from where to where, why, and by which bytes, data, parameters and policy. Whoever
changes, drops, adds or reorders one breaks every hash behind it, and the last hash stands in three more places: in
MLflow beside the model, on its versions, and in the copy on each machine that moved an alias.

Each record begins where the one before ended. Where it does not, aliases were moved by other means in between; only a
repair may say so, and a record whose `gone` names the versions that were deleted.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Literal

from pydantic import Field

from octavo.project.errors import AuditFailed
from octavo.project.files import atomic_write, json_file
from octavo.project.schema import Record
from octavo.promotion.decision import Reason

ORIGIN = "0" * 64
"""What stands for the hash before the first record."""

Aliases = dict[str, str]
"""Alias -> version."""
FOLDER = "folder"
"""Of a record's digests that of all files of the model. Records of earlier releases have none."""
ADDED = ("gone", "known", "request", "approved")
"""Fields that earlier releases did not have: where they say nothing, a record keeps the hash that it had."""
SKEW = timedelta(days=1)
"""By how much clocks of two machines may differ before a record's time counts as wrong."""
WRONG_TIME = "which is no time, lies ahead, or lies before the one before it"
"""What `faults` says of such a record. A repair that accepts it begins anew: the records behind follow its own time."""


class Move(Record):
    """One move of a registered model's aliases."""

    sequence: int
    """From 1."""
    parent: str
    """Hash of the record before."""
    when: str
    """ISO 8601, UTC."""
    who: str
    """The user whom the server knows; where it asks nobody, account and machine by their own word."""
    action: Literal["promote", "rollback", "repair"]
    model: str
    variant: str
    version: str
    """The one that becomes champion."""
    before: Aliases
    after: Aliases
    reasons: tuple[Reason, ...]
    """What the gate found; none but for a promotion."""
    note: str | None
    """Why, in the words of who forced it, rolled it back or repaired it."""
    digests: dict[str, str]
    """sha256 of what the move rests on: model, data, params, scorecard, policy and grounds."""
    gone: Aliases = Field(default_factory=dict)
    """Aliases that the record before left, and MLflow dropped since, as their versions were deleted."""
    known: tuple[str, ...] = ()
    """Of a repair: what did not fit, as `octavo audit` words it. What cannot be mended is accepted from here on."""
    request: str = ""
    """Of a promotion that others had to approve: the hash of what they were asked for."""
    approved: tuple[str, ...] = ()
    """Who approved it, by the names that the server knows them by."""

    @property
    def hash(self) -> str:
        """sha256 of the record's canonical JSON."""
        return hashlib.sha256(self.line().encode()).hexdigest()

    @property
    def name(self) -> str:
        """Number and hash, as tags in MLflow name the record."""
        return f"{self.sequence} {self.hash}"

    @property
    def number(self) -> str:
        """The version as MLflow writes it, which reads `03` as 3."""
        return self.version.lstrip("0")

    def line(self) -> str:
        """The record as one line of canonical JSON."""
        fields = {name: value for name, value in self.model_dump(mode="json").items() if value or name not in ADDED}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse(text: str, where: str) -> Move:
    """A record from its line.

    Raises:
        AuditFailed: it is not one.
    """
    try:
        return json_file.parse_record(text, Move)
    except json_file.Unreadable as error:
        raise AuditFailed(
            f"{where} is not a record of the audit log ({error}). "
            "Somebody changed it: compare it with the copies on other machines."
        ) from None


def read(path: Path) -> list[Move]:
    """The records in a local copy of the log; none where there is none.

    Raises:
        AuditFailed: a line is not a record, or the file is no text.
    """
    if not path.exists():
        return []
    try:
        text = atomic_write.content(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditFailed(f"{path} cannot be read ({error}). Compare it with the copies on other machines.") from None
    lines = text.rstrip("\n").split("\n") if text.strip() else []  # and at no other line's end: notes may have some
    return [parse(line, f"Line {number} of {path}") for number, line in enumerate(lines, 1)]


def write(path: Path, moves: Sequence[Move]) -> None:
    """Write a local copy of the log, a line a record."""
    atomic_write.write_text(path, "".join(f"{move.line()}\n" for move in moves))


def faults(moves: Sequence[Move], since: float = 0) -> Iterator[str]:
    """Where the chain is broken, a sentence each; nothing where it is whole.

    Args:
        moves: first to last.
        since: when their model was registered, in seconds since 1970: no record is older.
    """
    parent, latest = ORIGIN, datetime.fromtimestamp(since, timezone.utc)
    ahead = datetime.now(timezone.utc) + 2 * SKEW
    for place, move in enumerate(moves, 1):
        if move.sequence != place:
            yield f"record {place} says that it is number {move.sequence}"
        if move.parent != parent:
            yield f"record {place} follows {move.parent[:12]}, but the record before it is {parent[:12]}"
        if place > 1 and move.action != "repair" and begins(move) != moves[place - 2].after:
            yield (
                f"record {place} begins with {said(move.before)}, and record {place - 1} ended with "
                f"{said(moves[place - 2].after)}: aliases were moved by other means in between"
            )
        if move.who in move.approved or len(set(move.approved)) < len(move.approved):
            yield f"record {place}, which {move.who!a} asked for, is approved by {', '.join(map(ascii, move.approved))}"
        when = _moment(move.when)
        if when is not None and any(WRONG_TIME in fault for fault in move.known):
            latest = min(latest, when)
        if when is None or not latest <= when + SKEW <= ahead:
            yield f"record {place} is of {move.when}, {WRONG_TIME}"
        parent, latest = move.hash, max(latest, when or latest)


def champions(moves: Iterable[Move]) -> dict[str, Move]:
    """Version -> the last record that made it champion."""
    return {move.number: move for move in moves if move.action != "repair"}


def begins(move: Move) -> Aliases:
    """Where the aliases stood for `move`, those counted in whose versions were deleted before it."""
    return {**move.before, **move.gone}


def said(aliases: Aliases) -> str:
    """Aliases in words."""
    return ", ".join(f"{alias} at version {version}" for alias, version in sorted(aliases.items())) or "no alias"


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
