"""The audit log as MLflow's server itself reads it: from its own stores, whoever asks and wherever artifacts lie."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.server.handlers import (
    _get_artifact_repo,
    _get_artifact_repo_mlflow_artifacts,
    _get_proxied_run_artifact_destination_path,
    _get_tracking_store,
    _get_workspace_scoped_repo_path_if_enabled,
    _is_servable_proxied_run_artifact_root,
)
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from mlflow_plugins import audit_log
from mlflow_plugins.standing import LOG, State
from pipeline import moves
from pipeline.errors import AuditFailed
from pipeline.moves import Move


def record(now: State, sequence: int, hash_: str) -> Move:
    """The record of that number and hash.

    Raises:
        AuditFailed: it is not there, or was changed.
    """
    texts = list(_texts(now, audit_log.RECORDS, sequence))
    for text in texts:
        found = moves.parse(text, f"Record {sequence} of {now.model}")
        if found.sequence == sequence and found.hash == hash_:
            return found
    if not texts:
        raise AuditFailed(f"The audit log of {now.model} has no record {sequence}.")
    raise AuditFailed(
        f"Record {sequence} of the audit log of {now.model} is not the one that is named: it was changed."
    )


def grounds(now: State, move: Move) -> str:
    """What the verdict of `move` follows from, as JSON.

    Raises:
        AuditFailed: it is not there.
    """
    texts = list(_texts(now, audit_log.GROUNDS, move.sequence))
    if not texts:
        raise AuditFailed(f"The audit log of {now.model} has nothing that record {move.sequence} was judged by.")
    named = (text for text in texts if hashlib.sha256(text.encode()).hexdigest() == move.digests.get("grounds"))
    return next(named, texts[0])


def _texts(now: State, kind: str, sequence: int) -> Iterator[str]:
    """All files of that kind that are of the record of that number."""
    repository, root = _artifacts(now)
    there = [item.path for item in repository.list_artifacts(f"{root}/{kind}".lstrip("/"))]
    with TemporaryDirectory() as copy:
        for path in audit_log.of_number(there, sequence):
            yield Path(repository.download_artifacts(path, copy)).read_bytes().decode("utf-8", "replace")


def _artifacts(now: State) -> tuple[ArtifactRepository, str]:
    """Where the run that holds the log has its artifacts: the repository, and the folder in it."""
    run = _run(now)
    root = run.info.artifact_uri
    if not _is_servable_proxied_run_artifact_root(root):
        return _get_artifact_repo(run), ""
    path = _get_workspace_scoped_repo_path_if_enabled(_get_proxied_run_artifact_destination_path(root))
    return _get_artifact_repo_mlflow_artifacts(), str(path)


def _run(now: State) -> Run:
    store = _get_tracking_store()
    if named := now.tags.get(LOG):
        with suppress(MlflowException):
            run = store.get_run(named)
            if audit_log.OF in run.data.tags:
                return run
        raise AuditFailed(f"MLflow has no run {named} that holds the audit log of {now.model}.")
    experiment = store.get_experiment_by_name(audit_log.experiment(now.model))
    runs = experiment and store.search_runs(
        [experiment.experiment_id],
        f"tags.`{audit_log.OF}` = '{now.model}'",
        ViewType.ACTIVE_ONLY,
        1000,
        ["attributes.start_time ASC"],
    )
    run = next((run for run in runs or () if run.info.start_time >= now.made), None)
    if run is None:
        raise AuditFailed(f"MLflow has no audit log of {now.model}.")
    return run
