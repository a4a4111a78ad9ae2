"""The model file of a version in MLflow: found by its flavor, checked before it is copied, and never unpickled.

Of a model's folder, the description `MLmodel` and that file are read, nothing else. No framework loads the model.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from octavo.onnx_graph import file_io
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, yaml_file
from octavo_mlflow.flavors.pinning import artifact_copy
from octavo_mlflow.registry import copies, tags, vouched
from octavo_mlflow.tracking import artifact_place

LARGEST = 2**33
"""Bytes of all files of a network together."""
LARGEST_DESCRIPTION = 2**24


@dataclass(frozen=True)
class FileFlavor:
    """A flavor of MLflow that keeps a network in a file that `brought` takes."""

    name: str
    within: tuple[str, ...]
    """Names of the file in the folder that the flavor's `data` names; empty if `data` names the file."""
    suffixes: tuple[str, ...]
    reader: str
    """`module:function` that checks a file. It is imported when it is needed, since some need an extra."""

    def check(self, path: Path) -> None:
        """Raise `ModelError` if the file does not hold what the flavor says."""
        module, _, function = self.reader.partition(":")
        getattr(importlib.import_module(module), function)(path)

    def data(self, path: Path) -> list[Path]:
        """The files beside `path` that it takes weights from. Those of Keras are in one file."""
        return [] if self.within else file_io.named_beside(path)


KERAS_READER = "octavo.training.keras_files.containers:look_into"
FLAVORS = (
    FileFlavor("onnx", (), (".onnx",), "octavo.brought.placing:check_onnx"),
    FileFlavor("tensorflow", ("model.keras", "model.h5"), (".keras", ".h5"), KERAS_READER),
    FileFlavor("keras", ("model.keras",), (".keras",), KERAS_READER),
)


@dataclass(frozen=True)
class StoredFile:
    """A version's model file, before it is copied."""

    what: str
    """The version in words, for messages."""
    repository: ArtifactRepository
    path: str
    """Inside the model's folder."""
    flavor: FileFlavor

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix

    def copy(self, folder: Path) -> Path:
        """Copy the file, and for ONNX its external data, into `folder`, and return its path there.

        Raises:
            ModelError: a file is missing, too large, or outside the model's folder.
        """
        folder.mkdir()
        with artifact_place.readable(self.what):
            copied = artifact_copy.copied(self.repository, self.path, folder, LARGEST, self.what)
            left = LARGEST - copied.stat().st_size
            for data in self.flavor.data(copied):
                path = artifact_copy.inside(data.relative_to(folder).as_posix(), self.what)
                left -= artifact_copy.copied(self.repository, path, folder, left, self.what).stat().st_size
        return copied


@contextmanager
def found(client: MlflowClient, version: ModelVersion, alias: str | None) -> Iterator[StoredFile]:
    """Find a version's model file. It can be copied during the block.

    Args:
        client: of the tracking store.
        version: any version.
        alias: by which it was found, if by any.

    Raises:
        ModelError: the version has no file that `brought` takes, or files of a version of Octavo's were changed.
        AuditFailed: the alias, or the audit log of a model of Octavo's, was changed by another program.
    """
    what = f"version {version.version} of '{version.name}'"
    with _repository(client, version, alias) as repository:
        with artifact_place.readable(what):
            flavors = _flavors(repository, what)
            flavor = next((each for each in FLAVORS if isinstance(flavors.get(each.name), dict)), None)
            if flavor is None:
                raise ModelError(
                    f"The model in {what} has the flavor {_named(flavors)}, which is never opened; allowed are "
                    f"{', '.join(each.name for each in FLAVORS)}. Export the network to ONNX, and register that."
                )
            path = _path(repository, flavor, flavors[flavor.name], what)
        yield StoredFile(what, repository, path, flavor)


@contextmanager
def _repository(client: MlflowClient, version: ModelVersion, alias: str | None) -> Iterator[ArtifactRepository]:
    """The files of a version. Of one that Octavo registered, a copy in which all of them are checked."""
    source = copies.original(client, version)
    same = (source.name, source.version) == (version.name, version.version)
    move = vouched.promotion(client, source, alias if same else None)
    if move is not None or tags.FOLDER in source.tags:
        with vouched.folder(client, source, alias if same else None) as place:
            yield get_artifact_repository(place.resolve().as_uri())
        return
    with artifact_place.readable(f"version {version.version} of '{version.name}'"):
        repository = get_artifact_repository(client.get_model_version_download_uri(version.name, version.version))
    yield repository


def _flavors(repository: ArtifactRepository, what: str) -> dict[str, Any]:
    """The flavors that the description of a model names."""
    with TemporaryDirectory() as folder:
        path = artifact_copy.copied(repository, MLMODEL_FILE_NAME, Path(folder), LARGEST_DESCRIPTION, what)
        try:
            described = yaml_file.parse(atomic_write.content(path))
        except (OSError, yaml.YAMLError):
            described = None
    flavors = described.get("flavors") if isinstance(described, dict) else None
    if not isinstance(flavors, dict):
        raise ModelError(f"The description {MLMODEL_FILE_NAME} of {what} is damaged. Register the model again.")
    return flavors


def _named(flavors: dict[str, Any]) -> str:
    """The flavors in words, without the one that every model has."""
    names = sorted(str(name) for name in flavors if name != "python_function") or [str(name) for name in flavors]
    return ", ".join(f"{name[:40]!a}" for name in names[:5]) or "of no name"


def _path(repository: ArtifactRepository, flavor: FileFlavor, entry: dict[str, Any], what: str) -> str:
    """Where in the model's folder the flavor keeps the file."""
    data = artifact_copy.inside(entry.get("data"), what)
    if flavor.within:
        there = artifact_copy.sizes(repository, data)
        data = next((path for name in flavor.within if (path := f"{data}/{name}") in there), data)
    if PurePosixPath(data).suffix not in flavor.suffixes:
        raise ModelError(
            f"The {flavor.name} model in {what} is not in a file {' or '.join(flavor.suffixes)}. Export the network to "
            "ONNX, and register that."
        )
    return data
