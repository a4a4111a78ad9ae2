"""The audit log as MLflow's server itself reads it: from its own stores, whoever asks and wherever artifacts lie."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import ViewType
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
from pipeline import moves
from pipeline.errors import AuditFailed
from pipeline.moves import Move


def record(model: str, sequence: int) -> Move:
    """One record.

    Raises:
        AuditFailed: it is not there, or is no record.
    """
    return moves.parse(_text(model, audit_log._record(sequence)), f"Record {sequence} of {model}")


def grounds(move: Move) -> str:
    """What the verdict of `move` follows from, as JSON.

    Raises:
        AuditFailed: it is not there.
    """
    return _text(move.model, audit_log._grounds(move))


def _text(model: str, name: str) -> str:
    repository, root = _artifacts(model)
    path = f"{root}/{name}".lstrip("/")
    if path not in {item.path for item in repository.list_artifacts(path.rpartition("/")[0])}:
        raise AuditFailed(f"The audit log of {model} has no {name}.")
    with TemporaryDirectory() as folder:
        return Path(repository.download_artifacts(path, folder)).read_text(encoding="utf-8")


def _artifacts(model: str) -> tuple[ArtifactRepository, str]:
    """Where the run that holds the log has its artifacts: the repository, and the folder in it."""
    store = _get_tracking_store()
    experiment = store.get_experiment_by_name(audit_log._experiment(model))
    runs = experiment and store.search_runs(
        [experiment.experiment_id],
        f"tags.`{audit_log.OF}` = '{model}'",
        ViewType.ACTIVE_ONLY,
        1,
        ["attributes.start_time ASC"],
    )
    if not runs:
        raise AuditFailed(f"MLflow has no audit log of {model}.")
    root = runs[0].info.artifact_uri
    if not _is_servable_proxied_run_artifact_root(root):
        return _get_artifact_repo(runs[0]), ""
    path = _get_workspace_scoped_repo_path_if_enabled(_get_proxied_run_artifact_destination_path(root))
    return _get_artifact_repo_mlflow_artifacts(), str(path)
