"""Versions of a registered model: their files, held to the bytes that were measured. Light: rollback needs no more."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion

from mlflow_plugins import terms
from pipeline import files, layout, model_files
from pipeline.errors import ModelError
from pipeline.scorecard import ModelFile

UNJUDGED = ("model.sig", "registered_model_meta")
"""Files of a model's folder that come after it was judged: its signature, and what MLflow puts beside a download."""
FOLDERS = {".onnx": "", ".tflite": "data/"}
"""Where in a model's folder each flavor keeps the file, and external data beside it."""


class Damaged(ModelError):
    """A file in MLflow is not the one that was registered."""


def flavor(path: Path) -> str:
    """The flavor of a model file, which is also its format's name."""
    return next(name for name, suffix in layout.SUFFIXES.items() if suffix == path.suffix)


def variant(version: ModelVersion) -> str:
    """The variant that a version is of.

    Raises:
        ModelError: it was not registered by Octavo.
    """
    return _tag(version, terms.VARIANT)


def model_id(version: ModelVersion) -> str:
    """The logged model that a version is of.

    Raises:
        ModelError: it was not registered by Octavo.
    """
    place, _, name = str(version.source).partition("models:/")
    if place or not name.startswith("m-"):
        raise ModelError(
            f"Version {version.version} of {version.name} is of {version.source}, not of a logged model: Octavo did "
            "not register it, and cannot vouch for it."
        )
    return name


def model_file(version: ModelVersion) -> ModelFile:
    """The model file of a version, as its tags have it.

    Raises:
        ModelError: it was not registered by Octavo.
    """
    return ModelFile(path=layout.model(variant(version)).as_posix(), sha256=_tag(version, terms.SHA256))


@contextmanager
def fetched(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """A local copy of a version's model file, for as long as the block lasts.

    Raises:
        ModelError: it is not the file that was measured.
        MlflowException: there is none.
    """
    uri = client.get_model_version_download_uri(version.name, version.version)
    with stored(uri, model_file(version)) as path:
        yield path


@contextmanager
def folder(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """A local copy of all that MLflow holds of a version's model, for as long as the block lasts; nothing is checked.

    Raises:
        ModelError: it holds nothing any more, or Octavo did not register it.
    """
    if not client.list_logged_model_artifacts(model_id(version)):
        raise ModelError(f"Version {version.version} of {version.name} has no files in MLflow any more.")
    uri = client.get_model_version_download_uri(version.name, version.version)
    with TemporaryDirectory() as target:
        yield Path(download_artifacts(uri, dst_path=target))


def folder_digest(client: MlflowClient, version: ModelVersion) -> str:
    """One name for all that MLflow holds of a version's model but its signature: code that loads it, class names, card.

    Raises:
        ModelError: it holds nothing any more, or Octavo did not register it.
    """
    with folder(client, version) as place:
        found = sorted(path for path in place.rglob("*") if path.is_file() and path.name not in UNJUDGED)
        lines = [f"{path.relative_to(place).as_posix()} {files.digest(path, 'sha256')}" for path in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def stored(folder_uri: str, model: ModelFile) -> Iterator[Path]:
    """A local copy of the file in a model's folder in MLflow, for as long as the block lasts. Raises as `fetched`."""
    uri = f"{folder_uri}/{place(model)}"
    with TemporaryDirectory() as folder:
        copy = Path(download_artifacts(uri, dst_path=folder))
        for beside in model_files.beside(copy):
            beside.parent.mkdir(parents=True, exist_ok=True)
            named = beside.relative_to(copy.parent).as_posix()
            download_artifacts(f"{uri.rpartition('/')[0]}/{named}", dst_path=str(beside.parent))
        check(copy, model, uri)
        yield copy


def place(model: ModelFile) -> str:
    """Where in its model's folder a file lies."""
    path = Path(model.path)
    return f"{FOLDERS[path.suffix]}{path.name}"


def check(path: Path, model: ModelFile, shown: str) -> None:
    """Hold a model file, called `shown`, and what lies beside it of the model, to the bytes that were measured.

    Raises:
        Damaged: it is another one.
    """
    got = model_files.sha256(path)
    if got != model.sha256:
        raise Damaged(
            f"{shown} is not the model that was measured: its sha256 is {got}, the scorecard's {model.sha256}. "
            "Run dvc repro."
        )


def _tag(version: ModelVersion, name: str) -> str:
    if name not in version.tags:
        raise ModelError(
            f"Version {version.version} of {version.name} has no tag {name}: Octavo did not register it, and cannot "
            "vouch for it."
        )
    return str(version.tags[name])
