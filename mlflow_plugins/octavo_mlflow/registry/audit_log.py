"""The audit log in MLflow, where all who share a registry share it: a run of its own, an artifact for each record.

A record counts from the moment on when the registered model's tag `audit.head` names its number and its hash. Its file
bears both, so that none is ever overwritten: what was uploaded and never named is what a killed process left behind.
The log is read from its head back, record by record, each found by the hash that the one behind it names.

It belongs to the registered model, not to a name: the tag `audit.log` names its run. Logs of earlier releases, which
have no such tag, are found by name, and only where they are younger than the model.
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
"""Tag of the run that holds the records: the registered model."""
RECORDS, GROUNDS, REQUESTS = "records", "grounds", "requests"
NAMED = re.compile(r"(?P<sequence>\d{6,})(-[0-9a-f]{64}(\.\d+)?)?\.json", re.ASCII)
"""Files of records: number and hash, and a number where one was changed and put back beside; those of earlier releases
bear the first alone."""
REPAIR = "octavo audit --repair proposes a way out."


def prepare(client: MlflowClient, model: str) -> None:
    """Make the log's experiment, which belongs to who makes it wherever MLflow asks people who they are."""
    connection.experiment(client, experiment(model))


def append(client: MlflowClient, now: State, move: Move, grounds: str | None) -> None:
    """Add a record, and beside it what the verdict follows from. The caller holds the mutex and has checked the log."""
    run = run_id(client, now) or _create_run(client, now.model)
    if grounds is not None:
        client.log_text(run, grounds, place(GROUNDS, move))
    client.log_text(run, move.line(), place(RECORDS, move))
    if now.tags.get(LOG) != run:
        client.set_registered_model_tag(now.model, LOG, run)
    client.set_registered_model_tag(now.model, HEAD, move.name)


def ask(client: MlflowClient, now: State, asked: Move, grounds: str) -> None:
    """Put a request in place of the open one, whose approvals go first. The caller holds the mutex."""
    run = run_id(client, now) or _create_run(client, now.model)
    client.log_text(run, grounds, place(GROUNDS, asked))
    client.log_text(run, asked.line(), place(REQUESTS, asked))
    if now.tags.get(LOG) != run:
        client.set_registered_model_tag(now.model, LOG, run)
    if APPROVED in now.tags:
        client.delete_registered_model_tag(now.model, APPROVED)
    client.set_registered_model_tag(now.model, REQUEST, asked.name)


def store(client: MlflowClient, now: State, move: Move) -> None:
    """Put a record beside the log, where it counts for nothing as long as the head does not name it."""
    run = run_id(client, now) or _create_run(client, now.model)
    client.log_text(run, move.line(), place(RECORDS, move))


def read(client: MlflowClient, now: State) -> list[Move]:
    """All records, first to last, each of them the one that its successor names.

    Raises:
        AuditFailed: one is missing or was changed, or the tag that names the last one was deleted.
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
        AuditFailed: it is not there, or another.
    """
    return next(backwards(client, now))


def backwards(client: MlflowClient, now: State) -> Iterator[Move]:
    """The records, last to first, each fetched when it is asked for; none where there is no log.

    Raises:
        AuditFailed: as `read`, where the one that is asked for is missing or was changed.
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
    """Refuse a head that was set back.

    Raises:
        AuditFailed: it names an earlier record than the last whose move was made.
    """
    if now.done > now.head[0]:
        raise AuditFailed(
            f"The tag {HEAD} of {now.model} names record {now.head[0]}, but by its tag {DONE} move {now.done} was "
            f"made. {REPAIR}"
        )


def records(client: MlflowClient, now: State) -> dict[str, Move]:
    """All records that lie in MLflow, by their hash, named or not; files that are none are left out."""
    run = run_id(client, now)
    with _readable(now):
        if run is None or not client.list_artifacts(run, RECORDS):
            return {}
    with TemporaryDirectory() as folder:
        with _readable(now):
            place = Path(download_artifacts(f"runs:/{run}/{RECORDS}", dst_path=folder))
        return {move.hash: move for path in sorted(place.iterdir()) for move in _parsed(path)}


def grounds(client: MlflowClient, now: State, move: Move) -> str:
    """What the verdict of `move` follows from, as JSON; held to the digest that the record has of it.

    Raises:
        AuditFailed: it is not there, or was changed.
    """
    found = list(_texts(client, now, GROUNDS, move.sequence))
    for text in found:
        if hashlib.sha256(text.encode()).hexdigest() == move.digests["grounds"]:
            return text
    others = ", ".join(sorted(hashlib.sha256(text.encode()).hexdigest()[:12] for text in found))
    what = f"changed, to {others}" if found else "removed"
    raise AuditFailed(f"what record {move.sequence} was judged by was {what}")


def requests(client: MlflowClient, now: State, sequence: int) -> Iterator[Move]:
    """What was asked for as the record of that number; files that are no records are left out."""
    for text in _texts(client, now, REQUESTS, sequence):
        with suppress(AuditFailed):
            yield audit_record.parse(text, "The request")


def is_granted(client: MlflowClient, now: State, sequence: int, request: str) -> bool:
    """Whether a record of that number says that this request was approved."""
    for text in _texts(client, now, RECORDS, sequence):
        with suppress(AuditFailed):
            if audit_record.parse(text, "The record").request == request:
                return True
    return False


def run_id(client: MlflowClient, now: State) -> str | None:
    """The run that holds the log; None where there is none, or where it was deleted."""
    named = now.tags.get(LOG)
    run = _run(client, named) if named else _found_by_name(client, now)
    return None if run is None or run.info.lifecycle_stage != "active" else str(run.info.run_id)


def revive(client: MlflowClient, now: State) -> str:
    """The run that holds the log, taken out of the bin where it was thrown away, or made anew where it is gone."""
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
    """Where in its run a record lies, or what it was judged by; a second copy where the first was changed."""
    return f"{kind}/{move.sequence:06}-{move.hash}{f'.{copy}' if copy > 1 else ''}.json"


def of_number(paths: Iterable[str], sequence: int) -> list[str]:
    """Those of these files that are of the record of that number."""
    found = [(path, NAMED.fullmatch(path.rpartition("/")[2])) for path in paths]
    return [path for path, match in found if match and int(match["sequence"]) == sequence]


def experiment(model: str) -> str:
    """The name of the experiment that the log of a model registered under that name begins in."""
    return f"{model}.audit"


def _create_run(client: MlflowClient, model: str) -> str:
    made = client.create_run(connection.experiment(client, experiment(model)), tags={OF: model}, run_name="audit log")
    client.set_terminated(made.info.run_id)
    return str(made.info.run_id)


def _texts(client: MlflowClient, now: State, kind: str, sequence: int) -> Iterator[str]:
    """All files of that kind that are of the record of that number."""
    run = run_id(client, now)
    yield from _fetched(now, run, of_number(_listed(client, now, run, kind), sequence))


def _listed(client: MlflowClient, now: State, run: str | None, kind: str) -> list[str]:
    """The files of that kind in the log's run; none where there is no run."""
    with _readable(now):
        return [item.path for item in client.list_artifacts(run, kind) if not item.is_dir] if run else []


def _fetched(now: State, run: str | None, paths: Iterable[str]) -> Iterator[str]:
    """The texts of these artifacts of the log's run."""
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
    """The record that a text is; none where it is none."""
    with suppress(AuditFailed):
        yield audit_record.parse(text, "A file")


def _run(client: MlflowClient, run: str) -> Run | None:
    """The run of that id, if it holds an audit log."""
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
    """A record that nothing names was left by a killed process, unless its move was made."""
    made = [move for move in stored if now.aliases == move.after or move.sequence > 1]
    if made or DONE in now.tags:
        raise AuditFailed(f"The tag {HEAD} of {now.model}, which vouches for its audit log, was deleted. {REPAIR}")
