"""Read the audit log as MLflow's server, from its own stores, independent of the user and of the kind of store."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.server.handlers import _get_tracking_store
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from octavo.project.errors import AuditFailed
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry.audit_log import audit_run
from octavo_mlflow.registry.standing import LOG, State
from octavo_mlflow.server import artifact_files

Listed = tuple[ArtifactRepository, list[str]]
LARGEST = 2**28
"""The largest record or grounds file, in bytes. A larger file is ignored."""


def record(now: State, sequence: int, hash_: str, kind: str = audit_run.RECORDS) -> Move:
    """The record, or the request, with that number and hash.

    Args:
        now: the registered model's present state.
        sequence: the record number.
        hash_: the record's hash.
        kind: the folder, `audit_run.RECORDS` or `audit_run.REQUESTS`.

    Raises:
        AuditFailed: it is missing or was changed.
    """
    return _named(now, sequence, hash_, _listed(now, kind), kind)


def _named(now: State, sequence: int, hash_: str, listed: Listed, kind: str = audit_run.RECORDS) -> Move:
    texts = list(_texts(listed, sequence))
    for text in texts:
        with suppress(AuditFailed):  # anybody may have stored it there
            found = audit_record.parse(text, f"Record {sequence} of {now.model}")
            if found.sequence == sequence and found.hash == hash_:
                return found
    if not texts:
        what = "request for record" if kind == audit_run.REQUESTS else "record"
        raise AuditFailed(f"The audit log of {now.model} has no {what} {sequence}.")
    raise AuditFailed(
        f"Record {sequence} of the audit log of {now.model} is not the one that is named: it was changed."
    )


def chain(now: State) -> list[Move]:
    """All records, first to last. Each one is the record that its successor names.

    Raises:
        AuditFailed: one is missing or was changed.
    """
    sequence, known = now.head
    if not sequence:
        return []
    found, listed = list[Move](), _listed(now, audit_run.RECORDS)
    while sequence:
        found.append(_named(now, sequence, known, listed))
        sequence, known = sequence - 1, found[-1].parent
    return found[::-1]


def grounds(now: State, move: Move) -> str:
    """What the verdict of `move` follows from, as JSON.

    Raises:
        AuditFailed: it is missing.
    """
    texts = list(_texts(_listed(now, audit_run.GROUNDS), move.sequence))
    if not texts:
        raise AuditFailed(f"The audit log of {now.model} has nothing that record {move.sequence} was judged by.")
    named = (text for text in texts if hashlib.sha256(text.encode()).hexdigest() == move.digests.get("grounds"))
    return next(named, texts[0])


def holds_log(model: str, run_id: str) -> bool:
    """Whether `octavo promote` created this run for the audit log of a model with that name."""
    store = _get_tracking_store()
    try:
        run = store.get_run(run_id)
        experiment = store.get_experiment(run.info.experiment_id)
    except MlflowException:
        return False
    return run.data.tags.get(audit_run.OF) == model and experiment.name == audit_run.experiment(model)


def _listed(now: State, kind: str) -> Listed:
    """The repository of the log, and all files of that kind in it."""
    repository, root = _artifacts(now)
    listed = repository.list_artifacts(f"{root}/{kind}".lstrip("/"))
    return repository, [item.path for item in listed if (item.file_size or 0) <= LARGEST]


def _texts(listed: Listed, sequence: int) -> Iterator[str]:
    """The contents of the files that belong to the record with that number."""
    repository, there = listed
    with TemporaryDirectory() as copy:
        for path in audit_run.of_number(there, sequence):
            yield Path(repository.download_artifacts(path, copy)).read_bytes().decode("utf-8", "replace")


def _artifacts(now: State) -> tuple[ArtifactRepository, str]:
    """The repository with the artifacts of the log's run, and the folder in it."""
    return artifact_files.place(_run(now).info.artifact_uri)


def _run(now: State) -> Run:
    store = _get_tracking_store()
    if named := now.tags.get(LOG):
        with suppress(MlflowException):
            run = store.get_run(named)
            if audit_run.OF in run.data.tags:
                return run
        raise AuditFailed(f"MLflow has no run {named} that holds the audit log of {now.model}.")
    experiment = store.get_experiment_by_name(audit_run.experiment(now.model))
    runs = experiment and store.search_runs(
        [experiment.experiment_id],
        f"tags.`{audit_run.OF}` = '{now.model}'",
        ViewType.ACTIVE_ONLY,
        1000,
        ["attributes.start_time ASC"],
    )
    run = next((run for run in runs or () if run.info.start_time >= now.made), None)
    if run is None:
        raise AuditFailed(f"MLflow has no audit log of {now.model}.")
    return run
