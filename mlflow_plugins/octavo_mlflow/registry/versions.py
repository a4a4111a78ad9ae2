"""Versions of a registered model: get their files and check that these are the bytes that were measured.

Imports little, because rollback needs no more.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion

from octavo.backends import model_files, registry
from octavo.backends.records import ModelFile
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, yaml_file
from octavo.project.params.variants import VARIANT_NAME
from octavo_mlflow.registry import tags
from octavo_mlflow.tracking import artifact_place

UNJUDGED = ("model.sig", "registered_model_meta")
"""Files at the top of a model's folder that come after the verdict: the signature, and MLflow's note in a download."""
CACHES = "__pycache__"
"""Folder of Python's compiled code. It is checked too, because Python runs what lies there."""
OF_MLFLOW = ("onnx",)
"""Formats that MLflow has its own flavor for. It keeps the file and its external data at the top of the folder."""
DATA = "data"
"""The folder inside a model where every other flavor keeps the file, as `mlflow.pyfunc.save_model` does."""


class Damaged(ModelError):
    """A file in MLflow differs from the registered one."""


def variant(version: ModelVersion) -> str:
    """The variant of a version.

    Raises:
        ModelError: Octavo did not register the version, or the tag was changed.
    """
    name = _tag(version, tags.VARIANT)
    if not VARIANT_NAME.fullmatch(name):
        raise ModelError(
            f"The tag {tags.VARIANT} of version {version.version} of {version.name} is {name[:80]!a}, which names no "
            "variant: Octavo did not write it."
        )
    return name


def model_id(version: ModelVersion) -> str:
    """The id of the logged model behind a version.

    Raises:
        ModelError: Octavo did not register the version.
    """
    place, _, name = str(version.source).partition("models:/")
    if place or not name.startswith("m-"):
        raise ModelError(
            f"Version {version.version} of {version.name} is of {version.source}, not of a logged model: Octavo did "
            "not register it, and cannot vouch for it."
        )
    return name


def model_file(version: ModelVersion) -> ModelFile:
    """Path and SHA-256 of a version's model file, from its tags.

    Raises:
        ModelError: Octavo did not register the version.
    """
    return ModelFile(path=model_files.path_of(variant(version)).as_posix(), sha256=_tag(version, tags.SHA256))


@contextmanager
def fetched(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """A temporary local copy of a version's model file. It is deleted at the end of the block.

    Raises:
        ModelError: the file differs from the one that was measured.
        MlflowException: there is no such file.
    """
    uri = client.get_model_version_download_uri(version.name, version.version)
    with stored(uri, model_file(version)) as path:
        yield path


@contextmanager
def folder(client: MlflowClient, version: ModelVersion) -> Iterator[Path]:
    """A temporary local copy of all files of a version's model. They are not checked.

    Raises:
        ModelError: MLflow holds no files of it any more, or Octavo did not register the version.
    """
    named, what = model_id(version), f"version {version.version} of {version.name}"
    with artifact_place.readable(what):
        there = client.list_logged_model_artifacts(named)
    if not there:
        raise ModelError(f"Version {version.version} of {version.name} has no files in MLflow any more.")
    uri = client.get_model_version_download_uri(version.name, version.version)
    with TemporaryDirectory() as target:
        with artifact_place.readable(what):
            place = Path(download_artifacts(uri, dst_path=target))
        yield place


def check_logged_model(folder: Path, version: ModelVersion) -> None:
    """Check that the files of a version's model are of the logged model that the version names.

    Raises:
        Damaged: they are of another.
    """
    named, found = model_id(version), logged_as(folder)
    if found not in (None, named):
        raise Damaged(
            f"Version {version.version} of {version.name} names the logged model {named}, and its files are of "
            f"{found[:80]!a}. Take another version, or promote one: octavo promote."
        )


def logged_as(folder: Path) -> str | None:
    """The logged model that the files of a version's model are of; None where its MLmodel does not say so."""
    try:
        return str(yaml_file.parse(atomic_write.content(folder / "MLmodel"))["model_id"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def folder_digest(client: MlflowClient, version: ModelVersion) -> str:
    """The digest (`digest_of`) of the files that MLflow holds for a version.

    Raises:
        ModelError: MLflow holds no files of it any more, or Octavo did not register the version.
    """
    with folder(client, version) as place:
        check_logged_model(place, version)
        return digest_of(place)


def checked_digest(client: MlflowClient, version: ModelVersion) -> str:
    """As `folder_digest`, after a check against the digest from registration, if one was recorded.

    Raises:
        Damaged: the files differ from those that were registered.
        ModelError: as `folder_digest`.
    """
    with folder(client, version) as place:
        check_logged_model(place, version)
        check_folder(place, version.tags.get(tags.FOLDER), version, "registered")
        return digest_of(place)


def digest_of(folder: Path) -> str:
    """One SHA-256 over all files in a model's folder except its signature: model, loader code, class names, card.

    Raises:
        ModelError: a file's name contains an unprintable character. A line break would let one file pass for two.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in found}
    if odd := [name for name in names.values() if not name.isprintable()]:
        raise ModelError(f"A file of the model is called {odd[0]!a}, which none of Octavo's is.")
    lines = [f"{name} {atomic_write.digest(path, 'sha256')}" for path, name in names.items() if name not in UNJUDGED]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def logged_digest(client: MlflowClient, model_id: str) -> str:
    """The digest (`digest_of`) of the files that MLflow holds for a logged model."""
    with TemporaryDirectory() as folder:
        location = client.get_logged_model(model_id).artifact_location
        return digest_of(Path(download_artifacts(location, dst_path=folder)))


def check_folder(folder: Path, digest: str | None, version: ModelVersion, since: str) -> None:
    """Check the folder of a version's model against a digest, if one was recorded.

    Args:
        folder: a local copy.
        digest: the recorded digest, or None.
        version: the version, for the message.
        since: what was done when the digest was recorded, such as `registered`; for the message.

    Raises:
        Damaged: the digest differs.
    """
    if digest is None or digest_of(folder) == digest:
        return
    caches = sorted({path.parent.relative_to(folder).as_posix() for path in folder.glob(f"**/{CACHES}/*")})
    left = f" Python left compiled code there: delete {', '.join(caches)}, then try again." if caches else ""
    raise Damaged(
        f"Files beside the model of version {version.version} of {version.name} are not those that were {since}. "
        f"Nothing of it is used.{left} Take another version, or promote one: octavo promote."
    )


@contextmanager
def stored(folder_uri: str, model: ModelFile) -> Iterator[Path]:
    """A temporary local copy of the model file in a model's folder in MLflow. Raises as `fetched`."""
    uri = f"{folder_uri}/{place(model)}"
    with TemporaryDirectory() as folder:
        with artifact_place.readable(f"a model of {model.path}"):
            copy = Path(download_artifacts(uri, dst_path=folder))
        for beside in model_files.beside(copy):
            beside.parent.mkdir(parents=True, exist_ok=True)
            named = beside.relative_to(copy.parent).as_posix()
            with artifact_place.readable(f"a model of {model.path}"):
                download_artifacts(f"{uri.rpartition('/')[0]}/{named}", dst_path=str(beside.parent))
        check(copy, model, uri)
        yield copy


def place(model: ModelFile) -> str:
    """The path of a model file inside its model's folder.

    Raises:
        ModelError: its format is unknown.
    """
    path = Path(model.path)
    return path.name if registry.format_of(path).name in OF_MLFLOW else f"{DATA}/{path.name}"


def check(path: Path, model: ModelFile, shown: str) -> None:
    """Check a model file and its external data against the SHA-256 that was measured.

    Args:
        path: the local copy.
        model: the recorded file.
        shown: what the message calls the file.

    Raises:
        Damaged: the SHA-256 differs.
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
