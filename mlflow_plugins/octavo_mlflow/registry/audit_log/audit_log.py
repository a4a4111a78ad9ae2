"""The audit log in MLflow, shared by all who share the registry. `audit_run` says where its files are.

A record counts from the moment when the registered model's tag `audit.head` names its number and hash. A file that was
uploaded and never named comes from a killed process. The log is read backwards from its head: each record is found by
the hash that its successor holds.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

from mlflow import MlflowClient

from octavo.project.errors import AuditFailed
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry.audit_log import audit_run
from octavo_mlflow.registry.standing import APPROVED, DONE, HEAD, LOG, REQUEST, State

REPAIR = "octavo audit --repair proposes a way out."


def append(client: MlflowClient, now: State, move: Move, grounds: str | None) -> None:
    """Add a record and the grounds of its verdict. The caller holds the mutex and has checked the log.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the record.
        grounds: what the verdict follows from, as JSON; None if nothing was judged.
    """
    _upload(client, now, audit_run.RECORDS, move, grounds)
    client.set_registered_model_tag(now.model, HEAD, move.name)


def ask(client: MlflowClient, now: State, asked: Move, grounds: str) -> None:
    """Replace the open request for promotion. The approvals of the old request are deleted first.

    The caller holds the mutex.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        asked: the planned record.
        grounds: what the verdict follows from, as JSON.
    """
    _upload(client, now, audit_run.REQUESTS, asked, grounds)
    if APPROVED in now.tags:
        client.delete_registered_model_tag(now.model, APPROVED)
    client.set_registered_model_tag(now.model, REQUEST, asked.name)


def store(client: MlflowClient, now: State, move: Move) -> None:
    """Store a record beside the log. It does not count until the head names it.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the record.
    """
    client.log_text(audit_run.opened(client, now), move.line(), audit_run.place(audit_run.RECORDS, move))


def read(client: MlflowClient, now: State) -> list[Move]:
    """All records of the log, first to last. Each one is the record that its successor names.

    Raises:
        AuditFailed: a record is missing or was changed, or the tag that names the last record was deleted.
    """
    stored = records(client, now)
    sequence, known = now.head
    if not sequence:
        _refuse_lost_head(now, stored.values())
    check_done(now)
    found: list[Move] = []
    while sequence:
        move = stored.get(known)
        if move is None or move.sequence != sequence:
            raise AuditFailed(f"Record {sequence} of {now.model} in MLflow was changed or removed. {REPAIR}")
        found.append(move)
        sequence, known = sequence - 1, move.parent
    if known != audit_record.ORIGIN:
        raise AuditFailed(f"Record 1 of {now.model} in MLflow follows another, which there cannot be. {REPAIR}")
    return found[::-1]


def last(client: MlflowClient, now: State) -> Move:
    """The record that the head names.

    Raises:
        AuditFailed: it is missing or was changed.
    """
    return next(backwards(client, now))


def backwards(client: MlflowClient, now: State) -> Iterator[Move]:
    """The records, last to first. Each one is downloaded when the iterator reaches it. Empty if there is no log.

    Raises:
        AuditFailed: the next record is missing or was changed, or the tag that names the last record was deleted.
    """
    sequence, known = now.head
    if not sequence:
        _refuse_lost_head(now, records(client, now).values())
        return
    run = audit_run.run_id(client, now)
    there = audit_run.listed(client, now, run, audit_run.RECORDS)
    while sequence:
        texts = audit_run.fetched(now, run, audit_run.of_number(there, sequence))
        found = (move for text in texts for move in _of(text) if move.hash == known and move.sequence == sequence)
        move = next(found, None)
        if move is None:
            raise AuditFailed(f"Record {sequence} of {now.model} in MLflow was changed or removed. {REPAIR}")
        yield move
        sequence, known = sequence - 1, move.parent


def check_done(now: State) -> None:
    """Check that the head was not set back to an earlier record.

    Raises:
        AuditFailed: the head names a record before the last move that was applied.
    """
    if now.done > now.head[0]:
        raise AuditFailed(
            f"The tag {HEAD} of {now.model} names record {now.head[0]}, but by its tag {DONE} move {now.done} was "
            f"made. {REPAIR}"
        )


def records(client: MlflowClient, now: State) -> dict[str, Move]:
    """All records in the run, by hash, even if the head does not lead to them. Files that are not records are
    left out.
    """
    return {move.hash: move for text in audit_run.records(client, now) for move in _of(text)}


def grounds(client: MlflowClient, now: State, move: Move) -> str:
    """What the verdict of `move` follows from, as JSON, checked against the digest in the record.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the record.

    Raises:
        AuditFailed: the grounds are missing or were changed.
    """
    found = list(audit_run.texts(client, now, audit_run.GROUNDS, move.sequence))
    for text in found:
        if hashlib.sha256(text.encode()).hexdigest() == move.digests["grounds"]:
            return text
    others = ", ".join(sorted(hashlib.sha256(text.encode()).hexdigest()[:12] for text in found))
    what = f"changed, to {others}" if found else "removed"
    raise AuditFailed(f"what record {move.sequence} was judged by was {what}")


def requests(client: MlflowClient, now: State, sequence: int) -> Iterator[Move]:
    """The requests for promotion that were stored under a record number. Files that are not records are left out.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        sequence: the record number.
    """
    for text in audit_run.texts(client, now, audit_run.REQUESTS, sequence):
        yield from _of(text)


def is_granted(client: MlflowClient, now: State, sequence: int, request: str) -> bool:
    """Whether a record with that number says that this request was approved.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        sequence: the record number.
        request: the hash of the request.
    """
    texts = audit_run.texts(client, now, audit_run.RECORDS, sequence)
    return any(move.request == request for text in texts for move in _of(text))


def _upload(client: MlflowClient, now: State, kind: str, move: Move, grounds: str | None) -> None:
    """Store a record and its grounds, then let the tag `audit.log` name their run."""
    run = audit_run.opened(client, now)
    if grounds is not None:
        client.log_text(run, grounds, audit_run.place(audit_run.GROUNDS, move))
    client.log_text(run, move.line(), audit_run.place(kind, move))
    if now.tags.get(LOG) != run:
        client.set_registered_model_tag(now.model, LOG, run)


def _of(text: str) -> Iterator[Move]:
    """The record in a text, or nothing if the text is not a record."""
    with suppress(AuditFailed):
        yield audit_record.parse(text, "A file")


def _refuse_lost_head(now: State, stored: Iterable[Move]) -> None:
    """Raise if the tag of the head was deleted. A stored record that was never applied is no proof of that."""
    made = [move for move in stored if now.aliases == move.after or move.sequence > 1]
    if made or DONE in now.tags:
        raise AuditFailed(f"The tag {HEAD} of {now.model}, which vouches for its audit log, was deleted. {REPAIR}")
