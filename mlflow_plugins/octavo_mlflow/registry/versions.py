"""Versions of a registered model: their files, held to the bytes that were measured. Light: rollback needs no more."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion

from octavo.backends import model_files
from octavo.backends.records import ModelFile
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, yaml_file
from octavo.project.params import VARIANT_NAME
from octavo_mlflow.registry import tags
from octavo_mlflow.tracking import artifact_place

UNJUDGED = ("model.sig", "registered_model_meta")
"""At the top of a model's folder, files that come after it was judged: its signature, MLflow's note in a download."""
CACHES = "__pycache__"
"""Folders in which Python keeps what it compiled. They are judged, too: it runs what lies there."""
FOLDERS = {".onnx": "", ".tflite": "data/"}
"""Where in a model's folder each flavor keeps the file, and external data beside it."""


class Damaged(ModelError):
    """A file in MLflow is not the one that was registered."""


def flavor(path: Path) -> str:
    """The flavor of a model file, which is also its format's name."""
    return next(name for name, suffix in paths.SUFFIXES.items() if suffix == path.suffix)


def variant(version: ModelVersion) -> str:
    """The variant that a version is of.

    Raises:
        ModelError: it was not registered by Octavo, or somebody changed the tag.
    """
    name = _tag(version, tags.VARIANT)
    if not VARIANT_NAME.fullmatch(name):
        raise ModelError(
            f"The tag {tags.VARIANT} of version {version.version} of {version.name} is {name[:80]!a}, which names no "
            "variant: Octavo did not write it."
        )
    return name


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
    return ModelFile(path=paths.model(variant(version)).as_posix(), sha256=_tag(version, tags.SHA256))


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
    """A local copy of all that MLflow holds of a version's model, for as long as the block lasts.

    What lies in it is not checked, but that it is of the logged model that the version names.

    Raises:
        Damaged: it is of another.
        ModelError: it holds nothing any more, or Octavo did not register it.
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
        found = logged_as(place)
        if found not in (None, named):
            raise Damaged(
                f"Version {version.version} of {version.name} names the logged model {named}, and its files are of "
                f"{found[:80]!a}. Take another version, or promote one: octavo promote."
            )
        yield place


def logged_as(folder: Path) -> str | None:
    """The logged model that the files of a version's model are of; None where its MLmodel does not say so."""
    try:
        return str(yaml_file.parse(atomic_write.content(folder / "MLmodel"))["model_id"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None


def folder_digest(client: MlflowClient, version: ModelVersion) -> str:
    """`digest_of` what MLflow holds of a version's model.

    Raises:
        ModelError: it holds nothing any more, or Octavo did not register it.
    """
    with folder(client, version) as place:
        return digest_of(place)


def checked_digest(client: MlflowClient, version: ModelVersion) -> str:
    """As `folder_digest`, held to what was registered, where that was recorded.

    Raises:
        Damaged: it is another.
        ModelError: as `folder_digest`.
    """
    with folder(client, version) as place:
        check_folder(place, version.tags.get(tags.FOLDER), version, "registered")
        return digest_of(place)


def digest_of(folder: Path) -> str:
    """One name for all that lies in a model's folder but its signature: code that loads it, class names, card.

    Raises:
        ModelError: a file's name breaks a line, which could pass for two files.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in found}
    if odd := [name for name in names.values() if not name.isprintable()]:
        raise ModelError(f"A file of the model is called {odd[0]!a}, which none of Octavo's is.")
    lines = [f"{name} {atomic_write.digest(path, 'sha256')}" for path, name in names.items() if name not in UNJUDGED]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def logged_digest(client: MlflowClient, model_id: str) -> str:
    """`digest_of` what MLflow holds of a logged model."""
    with TemporaryDirectory() as folder:
        location = client.get_logged_model(model_id).artifact_location
        return digest_of(Path(download_artifacts(location, dst_path=folder)))


def check_folder(folder: Path, digest: str | None, version: ModelVersion, since: str) -> None:
    """Hold the folder of a version's model to its digest, where one was recorded.

    Args:
        folder: a copy of it.
        digest: as recorded.
        version: whose it is.
        since: what was done when it was recorded, such as `registered`.

    Raises:
        Damaged: it is another.
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
    """A local copy of the file in a model's folder in MLflow, for as long as the block lasts. Raises as `fetched`."""
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
