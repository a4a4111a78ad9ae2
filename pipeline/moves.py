"""The audit log: every move of the registry's aliases, each record bound to the one before by its hash.

A record says who moved what, from where to where, why, and by which bytes, data, parameters and policy. Whoever
changes, drops, adds or reorders one breaks every hash behind it, and the last hash stands in three more places: in
MLflow beside the model, on its versions, and in the copy on each machine that moved an alias.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pipeline import files, json_file
from pipeline.decision import Reason
from pipeline.errors import AuditFailed
from pipeline.scorecard import Record

ORIGIN = "0" * 64
"""What stands for the hash before the first record."""

Aliases = dict[str, str]
"""Alias -> version."""


class Move(Record):
    """One move of a registered model's aliases."""

    sequence: int
    """From 1."""
    parent: str
    """Hash of the record before."""
    when: str
    """ISO 8601, UTC."""
    who: str
    action: Literal["promote", "rollback"]
    model: str
    variant: str
    version: str
    """The one that becomes champion."""
    before: Aliases
    after: Aliases
    reasons: tuple[Reason, ...]
    """What the gate found; none for a rollback."""
    note: str | None
    """Why, in the words of who forced it or rolled it back."""
    digests: dict[str, str]
    """sha256 of what the move rests on: model, data, params, scorecard, policy and grounds."""

    @property
    def hash(self) -> str:
        """sha256 of the record's canonical JSON."""
        return hashlib.sha256(self.line().encode()).hexdigest()

    def line(self) -> str:
        """The record as one line of canonical JSON."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


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
        AuditFailed: a line is not a record.
    """
    if not path.exists():
        return []
    try:
        lines = files.content(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AuditFailed(f"{path} cannot be read ({error}). Compare it with the copies on other machines.") from None
    return [parse(line, f"Line {number} of {path}") for number, line in enumerate(lines, 1)]


def write(path: Path, moves: Sequence[Move]) -> None:
    """Write a local copy of the log, a line a record."""
    files.write_text(path, "".join(f"{move.line()}\n" for move in moves))


def faults(moves: Sequence[Move]) -> Iterator[str]:
    """Where the chain is broken, a sentence each; nothing where it is whole."""
    parent = ORIGIN
    for place, move in enumerate(moves, 1):
        if move.sequence != place:
            yield f"record {place} says that it is number {move.sequence}"
        if move.parent != parent:
            yield f"record {place} follows {move.parent[:12]}, but the record before it is {parent[:12]}"
        parent = move.hash
