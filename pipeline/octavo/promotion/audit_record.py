"""Records of the audit log: one for every move of the registry's aliases, each bound to the previous one by its hash.

A record says who moved what, from where to where, why, and by which bytes, data, parameters and policy. A change,
deletion, addition or reordering breaks every later hash. The last hash is also stored in three other places: in MLflow
on the model, on its versions, and in the copy on each machine that moved an alias.

Each record begins where the previous one ended. If it does not, somebody moved the aliases without Octavo in between.
Only a repair may record that, or a record whose `gone` names versions that were deleted.

A repair stores the sentence of a fault that it accepts, and later checks compare it word by word. Do not change the
sentences of `faults`.
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
"""Stands for the hash before the first record."""

Aliases = dict[str, str]
"""Alias -> version."""
FOLDER = "folder"
"""Key of the digest over all files of the model. Records of earlier releases have none."""
ADDED = ("gone", "known", "request", "approved")
"""Fields that earlier releases did not have. While they are empty, a record keeps its hash."""
SKEW = timedelta(days=1)
"""How much the clocks of two machines may differ before a record's time counts as wrong."""
WRONG_TIME = "which is no time, lies ahead, or lies before the one before it"
"""What `faults` says of such a record. After a repair that accepts it, the next times are compared with its
own time.
"""


class Move(Record):
    """One move of a registered model's aliases."""

    sequence: int
    """From 1."""
    parent: str
    """Hash of the previous record."""
    when: str
    """ISO 8601, UTC."""
    who: str
    """The user as the server knows them; without user accounts, account and machine as they name themselves."""
    action: Literal["promote", "rollback", "repair"]
    model: str
    variant: str
    version: str
    """The version that becomes champion."""
    before: Aliases
    after: Aliases
    reasons: tuple[Reason, ...]
    """What the gate found; only for a promotion."""
    note: str | None
    """The reason, in the words of the user who forced, rolled back or repaired."""
    digests: dict[str, str]
    """SHA-256 of what the move depends on: model, data, params, scorecard, policy and grounds."""
    gone: Aliases = Field(default_factory=dict)
    """Aliases that the previous record set, and that MLflow dropped because their versions were deleted."""
    known: tuple[str, ...] = ()
    """For a repair: the faults, in the words of `octavo audit`. From here on they are accepted."""
    request: str = ""
    """For a promotion that needed approvals: the hash of the request."""
    approved: tuple[str, ...] = ()
    """The names of the approvers, as the server knows them."""

    @property
    def hash(self) -> str:
        """SHA-256 of the record's canonical JSON."""
        return hashlib.sha256(self.line().encode()).hexdigest()

    @property
    def name(self) -> str:
        """Number and hash, as MLflow's tags name the record."""
        return f"{self.sequence} {self.hash}"

    @property
    def number(self) -> str:
        """The version as MLflow writes it: `03` becomes `3`."""
        return self.version.lstrip("0")

    def line(self) -> str:
        """The record as one line of canonical JSON."""
        fields = {name: value for name, value in self.model_dump(mode="json").items() if value or name not in ADDED}
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def parse(text: str, where: str) -> Move:
    """Read a record from its line.

    Raises:
        AuditFailed: it is not a record.
    """
    try:
        return json_file.parse_record(text, Move)
    except json_file.Unreadable as error:
        raise AuditFailed(
            f"{where} is not a record of the audit log ({error}). "
            "Somebody changed it: compare it with the copies on other machines."
        ) from None


def read(path: Path) -> list[Move]:
    """The records in a local copy of the log; empty if there is no copy.

    Raises:
        AuditFailed: a line is not a record, or the file is not text.
    """
    if not path.exists():
        return []
    try:
        text = atomic_write.content(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditFailed(f"{path} cannot be read ({error}). Compare it with the copies on other machines.") from None
    lines = text.rstrip("\n").split("\n") if text.strip() else []  # not splitlines: notes may hold other line ends
    return [parse(line, f"Line {number} of {path}") for number, line in enumerate(lines, 1)]


def write(path: Path, moves: Sequence[Move]) -> None:
    """Write a local copy of the log, one record per line."""
    atomic_write.write_text(path, "".join(f"{move.line()}\n" for move in moves))


def faults(moves: Sequence[Move], since: float = 0) -> Iterator[str]:
    """The faults of the chain, one sentence each; none if it is intact.

    Args:
        moves: all records, first to last.
        since: when their model was registered, in seconds since 1970. No record may be older.
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
    """The aliases before `move`, including those whose versions were deleted."""
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
