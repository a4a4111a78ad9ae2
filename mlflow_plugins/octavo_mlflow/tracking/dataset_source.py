"""The dataset source `dvc`: path, content and revision of data that DVC tracks, so that a run leads back to its data.

MLflow loads this module while MLflow itself is being imported, so it imports little.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from mlflow.data.dataset_source import DatasetSource
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from octavo.project.git import revision as git_revision
from octavo.project.git import roots
from octavo.project.git.command import git
from octavo_mlflow.tracking import dvc_outputs

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)


@dataclass(frozen=True)
class DvcDatasetSource(DatasetSource):
    """One file or folder under DVC, as it was during the run."""

    path: str
    """Relative to the root of the DVC project, with slashes."""
    md5: str
    """As DVC records it; ends in `.dir` for a folder."""
    revision: str | None = None
    """Git's commit, with `-dirty` if tracked files differed."""
    repository: str | None = None
    """Address of the project's git repository."""
    remote: str | None = None
    """DVC's default remote, from which the data can be pulled."""

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    def load(self) -> str:
        """The local path of the data, in the DVC project of the working directory.

        Raises:
            MlflowException: the data are missing or have changed. The message says how to get them.
        """
        folder = Path.cwd()
        path = (roots.dvc_root(folder) or Path(os.environ.get("DVC_ROOT", folder))) / self.path
        got = dvc_outputs.found(path) if path.exists() else None
        if got == self.md5:
            return str(path)
        differs = f"has changed: its MD5 is {got}, then it was {self.md5}" if got else "is not here"
        raise MlflowException(f"{path} {differs}. {self._way_back()}", error_code=RESOURCE_DOES_NOT_EXIST)

    def _way_back(self) -> str:
        commit = (self.revision or "").removesuffix("-dirty")
        clone = f" of {self.repository}" if self.repository else ""
        first = f"In a clone{clone} run git checkout {commit}, then " if commit else "Run "
        return (
            f"{first}dvc checkout {self.path}, or dvc pull {self.path} where DVC's cache lacks it"
            f"{f' (remote {self.remote})' if self.remote else ''}."
        )

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, (str, Path)) and of(Path(raw_source)) is not None

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DvcDatasetSource":
        source = of(Path(raw_source))
        if source is None:
            raise MlflowException.invalid_parameter_value(f"DVC does not track {raw_source}. Run dvc add {raw_source}.")
        return source

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DvcDatasetSource":
        return cls(**source_dict)


def of(path: Path) -> DvcDatasetSource | None:
    """The dataset source of the file or folder at `path`, or None if DVC does not track it."""
    path = path.absolute()
    root = roots.dvc_root(path.parent)
    try:
        md5 = dvc_outputs.recorded(path) if root else None
    except UNREADABLE:
        return None
    if root is None or md5 is None:
        return None
    return DvcDatasetSource(
        path.relative_to(root).as_posix(),
        md5,
        git_revision.git_commit(root),
        _public(git(root, "config", "--get", "remote.origin.url")),
        _public(dvc_outputs.remote(root)),
    )


def _public(url: str | None) -> str | None:
    """The URL without user and password."""
    if url is None or "://" not in url:
        return url
    return urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()
