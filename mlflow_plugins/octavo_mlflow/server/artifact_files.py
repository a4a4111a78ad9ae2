"""Read files in MLflow's artifact store as its server does, independent of the user and of the kind of store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.server.handlers import (
    _get_artifact_repo_mlflow_artifacts,
    _get_artifact_repository_for_uri,
    _get_proxied_run_artifact_destination_path,
    _get_workspace_scoped_repo_path_if_enabled,
    _is_servable_proxied_run_artifact_root,
)
from mlflow.store.artifact.artifact_repo import ArtifactRepository


def place(uri: str) -> tuple[ArtifactRepository, str]:
    """The repository that holds the files at `uri`, and the folder in it."""
    if not _is_servable_proxied_run_artifact_root(uri):
        return _get_artifact_repository_for_uri(uri), ""
    path = _get_workspace_scoped_repo_path_if_enabled(_get_proxied_run_artifact_destination_path(uri))
    return _get_artifact_repo_mlflow_artifacts(), str(path)


@contextmanager
def copied(uri: str) -> Iterator[Path]:
    """A temporary local copy of the folder at `uri`."""
    repository, folder = place(uri)
    with TemporaryDirectory() as copy:
        yield Path(repository.download_artifacts(folder, copy))
