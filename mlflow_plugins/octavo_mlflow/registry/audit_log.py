"""The audit log in MLflow, shared by all who share the registry: one run, one artifact per record.

A record counts from the moment when the registered model's tag `audit.head` names its number and hash. The file's name
holds both, so no record is ever overwritten. A file that was uploaded and never named comes from a killed process. The
log is read backwards from its head: each record is found by the hash that its successor holds.

The log belongs to the registered model, not to the model's name: the tag `audit.log` names its run. Earlier releases
did not set that tag. Their logs are found by name, and only if they are younger than the model.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from octavo.project.errors import AuditFailed
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry.standing import APPROVED, DONE, HEAD, LOG, REQUEST, State
from octavo_mlflow.tracking import artifact_place, connection

OF = "audit.of"
"""Tag of the run that holds the records: the name of the registered model."""
RECORDS, GROUNDS, REQUESTS = "records", "grounds", "requests"
NAMED = re.compile(r"(?P<sequence>\d{6,})(-[0-9a-f]{64}(\.\d+)?)?\.json", re.ASCII)
"""File names of records: the number, the hash, and a counter if a changed record was restored beside the changed file.
Earlier releases used the number alone.
"""
REPAIR = "octavo audit --repair proposes a way out."


def prepare(client: MlflowClient, model: str) -> None:
    """Create the experiment of the log. On a server with user accounts it then belongs to this user."""
    connection.experiment(client, experiment(model))


def append(client: MlflowClient, now: State, move: Move, grounds: str | None) -> None:
    """Add a record and the grounds of its verdict. The caller holds the mutex and has checked the log.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the record.
        grounds: what the verdict follows from, as JSON; None if nothing was judged.
    """
    run = run_id(client, now) or _create_run(client, now.model)
    if grounds is not None:
        client.log_text(run, grounds, place(GROUNDS, move))
    client.log_text(run, move.line(), place(RECORDS, move))
    if now.tags.get(LOG) != run:
        client.set_registered_model_tag(now.model, LOG, run)
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
    run = run_id(client, now) or _create_run(client, now.model)
    client.log_text(run, grounds, place(GROUNDS, asked))
    client.log_text(run, asked.line(), place(REQUESTS, asked))
    if now.tags.get(LOG) != run:
        client.set_registered_model_tag(now.model, LOG, run)
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
    run = run_id(client, now) or _create_run(client, now.model)
    client.log_text(run, move.line(), place(RECORDS, move))


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
    run = run_id(client, now)
    there = _listed(client, now, run, RECORDS)
    while sequence:
        texts = _fetched(now, run, of_number(there, sequence))
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
    run = run_id(client, now)
    with _readable(now):
        if run is None or not client.list_artifacts(run, RECORDS):
            return {}
    with TemporaryDirectory() as folder:
        with _readable(now):
            place = Path(download_artifacts(f"runs:/{run}/{RECORDS}", dst_path=folder))
        return {move.hash: move for path in sorted(place.iterdir()) for move in _parsed(path)}


def grounds(client: MlflowClient, now: State, move: Move) -> str:
    """What the verdict of `move` follows from, as JSON, checked against the digest in the record.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the record.

    Raises:
        AuditFailed: the grounds are missing or were changed.
    """
    found = list(_texts(client, now, GROUNDS, move.sequence))
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
    for text in _texts(client, now, REQUESTS, sequence):
        with suppress(AuditFailed):
            yield audit_record.parse(text, "The request")


def is_granted(client: MlflowClient, now: State, sequence: int, request: str) -> bool:
    """Whether a record with that number says that this request was approved.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        sequence: the record number.
        request: the hash of the request.
    """
    for text in _texts(client, now, RECORDS, sequence):
        with suppress(AuditFailed):
            if audit_record.parse(text, "The record").request == request:
                return True
    return False


def run_id(client: MlflowClient, now: State) -> str | None:
    """The run that holds the log, or None if there is none or it was deleted."""
    named = now.tags.get(LOG)
    run = _run(client, named) if named else _found_by_name(client, now)
    return None if run is None or run.info.lifecycle_stage != "active" else str(run.info.run_id)


def revive(client: MlflowClient, now: State) -> str:
    """The run that holds the log. A deleted run is restored; a missing one is created."""
    named = now.tags.get(LOG)
    run = _run(client, named) if named else None
    if run is None:
        prepare(client, now.model)
        return run_id(client, now) or _create_run(client, now.model)
    if client.get_experiment(run.info.experiment_id).lifecycle_stage != "active":
        client.restore_experiment(run.info.experiment_id)
    if client.get_run(run.info.run_id).info.lifecycle_stage != "active":
        client.restore_run(run.info.run_id)
    return str(run.info.run_id)


def place(kind: str, move: Move, copy: int = 1) -> str:
    """The artifact path of a record or of its grounds.

    Args:
        kind: the folder: `RECORDS`, `GROUNDS` or `REQUESTS`.
        move: the record.
        copy: 2 or more for a file that is restored beside a changed one.
    """
    return f"{kind}/{move.sequence:06}-{move.hash}{f'.{copy}' if copy > 1 else ''}.json"


def of_number(paths: Iterable[str], sequence: int) -> list[str]:
    """The paths that belong to the record with that number."""
    found = [(path, NAMED.fullmatch(path.rpartition("/")[2])) for path in paths]
    return [path for path, match in found if match and int(match["sequence"]) == sequence]


def experiment(model: str) -> str:
    """The name of the experiment in which a model's log begins."""
    return f"{model}.audit"


def _create_run(client: MlflowClient, model: str) -> str:
    made = client.create_run(connection.experiment(client, experiment(model)), tags={OF: model}, run_name="audit log")
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)


def _texts(client: MlflowClient, now: State, kind: str, sequence: int) -> Iterator[str]:
    """The contents of all files of that kind that belong to the record with that number."""
    run = run_id(client, now)
    yield from _fetched(now, run, of_number(_listed(client, now, run, kind), sequence))


def _listed(client: MlflowClient, now: State, run: str | None, kind: str) -> list[str]:
    """The files of that kind in the log's run; none where there is no run."""
    with _readable(now):
        return [item.path for item in client.list_artifacts(run, kind) if not item.is_dir] if run else []


def _fetched(now: State, run: str | None, paths: Iterable[str]) -> Iterator[str]:
    """The contents of these artifacts of the log's run."""
    with TemporaryDirectory() as folder:
        for path in paths:
            with _readable(now):
                copy = Path(download_artifacts(f"runs:/{run}/{path}", dst_path=folder))
            yield copy.read_bytes().decode("utf-8", "replace")


def _readable(now: State) -> AbstractContextManager[None]:
    return artifact_place.readable(f"the audit log of {now.model}")


def _parsed(path: Path) -> Iterator[Move]:
    if NAMED.fullmatch(path.name) and path.is_file():
        yield from _of(path.read_bytes().decode("utf-8", "replace"))


def _of(text: str) -> Iterator[Move]:
    """The record in a text, or nothing if the text is not a record."""
    with suppress(AuditFailed):
        yield audit_record.parse(text, "A file")


def _run(client: MlflowClient, run: str) -> Run | None:
    """The run with that id, or None if it does not hold an audit log."""
    try:
        found = client.get_run(run)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None
    return found if OF in found.data.tags else None


def _found_by_name(client: MlflowClient, now: State) -> Run | None:
    known = client.get_experiment_by_name(experiment(now.model))
    if known is None:
        return None
    runs = client.search_runs(
        [known.experiment_id],
        f"tags.`{OF}` = '{now.model}'",
        ViewType.ACTIVE_ONLY,
        order_by=["attributes.start_time ASC"],
    )
    return next((run for run in runs if run.info.start_time >= now.made), None)


def _refuse_lost_head(now: State, stored: Iterable[Move]) -> None:
    """Raise if the tag of the head was deleted. A stored record that was never applied is no proof of that."""
    made = [move for move in stored if now.aliases == move.after or move.sequence > 1]
    if made or DONE in now.tags:
        raise AuditFailed(f"The tag {HEAD} of {now.model}, which vouches for its audit log, was deleted. {REPAIR}")
