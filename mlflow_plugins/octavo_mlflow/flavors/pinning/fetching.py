"""Fetch one network of `brought` from MLflow's registry, check it, and leave it beside its place."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient

from octavo.brought import pinned, placing
from octavo.project.errors import ModelError, ParamsError
from octavo.project.git import roots
from octavo.project.params import registry_uri
from octavo.project.params.networks import Brought
from octavo_mlflow.flavors.pinning import resolution, stored_file
from octavo_mlflow.flavors.pinning.stored_file import StoredFile

FOLDER = Path("models")
"""Where a network's file goes if the entry names none."""


@dataclass(frozen=True)
class Pin:
    """What an entry of `brought` is pinned to."""

    name: str
    given: Brought
    version: int
    sha256: str
    file: Path
    made: Path | None = None
    """The fetched file, complete and checked, on the disk of `file`; None if `file` is there already."""

    @property
    def values(self) -> dict[str, str | int]:
        """The keys to write to the entry, where they are missing or differ."""
        old = {"version": self.given.version, "sha256": self.given.sha256, "file": self.given.path and str(self.file)}
        new: dict[str, str | int] = {"version": self.version, "sha256": self.sha256, "file": str(self.file)}
        return {key: value for key, value in new.items() if old[key] != value}


def fetched(client: MlflowClient, name: str, given: Brought, update: bool, stack: ExitStack) -> Pin:
    """Fetch the pinned version of a network, or the one that its address names now.

    Args:
        client: of the tracking store.
        name: of the network.
        given: its entry.
        update: whether a pinned network may move.
        stack: keeps the fetched file until it is closed.

    Raises:
        ModelError: there is no such version, its file cannot be used or is not the pinned one, or `file` is taken.
    """
    uri = registry_uri.parsed(str(given.uri))
    asks = update or given.version is None
    number = resolution.resolved(client, uri) if asks else int(given.version or 0)
    moves = number != given.version
    version = resolution.version_of(client, uri.model, number, None if moves else name)
    with stored_file.found(client, version, uri.alias if asks else None) as stored:
        file = _target(name, given, stored)
        made = _made(stored, file, stack)
    sha256 = pinned.digest(made)
    if not moves and sha256 != given.sha256:
        raise ModelError(
            f"The file of {stored.what} in MLflow has sha256 {sha256}, and brought.{name}.sha256 is {given.sha256}. "
            "Either somebody changed it there, or you changed the name in uri: then remove version and sha256, and run "
            f"octavo pin {name}."
        )
    _check(stored, made)
    here = pinned.digest(file) if file.is_file() else None
    if file.exists() and here not in (sha256, given.sha256):
        raise ModelError(
            f"{file} is there, and is not {stored.what}. Nothing was changed. Move it away, or name another file in "
            f"brought.{name}.file."
        )
    return Pin(name, given, number, sha256, file, None if here == sha256 else made)


def _target(name: str, given: Brought, stored: StoredFile) -> Path:
    """Where the file goes."""
    if given.path is None:
        return FOLDER / f"{name}{stored.suffix}"
    place, root = given.path.resolve(), (roots.git_root(Path()) or Path()).resolve()
    if not place.is_relative_to(root) or any(part.startswith(".") for part in place.relative_to(root).parts):
        raise ParamsError(
            f"brought.{name}.file is {given.path}, and a fetched file goes into the repository, not into a hidden "
            f"folder. Name it {FOLDER / f'{name}{stored.suffix}'}, for example."
        )
    if given.path.suffix != stored.suffix:
        raise ModelError(
            f"brought.{name}.file is {given.path}, and the model in {stored.what} is a file {stored.suffix}. Name it "
            "so, or remove file."
        )
    return given.path


def _made(stored: StoredFile, file: Path, stack: ExitStack) -> Path:
    """Copy the model and make one file of it, in a folder on the disk of `file`."""
    place = next(path for path in file.parents if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise ParamsError(f"{file} cannot be written: {place} is read-only for you. Change its permissions.")
    folder = Path(stack.enter_context(TemporaryDirectory(prefix=".octavo-pin-", dir=place)))
    made = folder / file.name
    try:
        copied = stored.copy(folder / "copied")
        if stored.flavor.data(copied):
            placing.in_one_file(copied, made)
        else:
            copied.replace(made)
    except ModelError as error:
        raise _unusable(stored, str(error).replace(f"{folder}/copied/", "")) from None
    return made


def _check(stored: StoredFile, made: Path) -> None:
    """Check that the file holds a network that can be brought in."""
    try:
        stored.flavor.check(made)
    except ModelError as error:
        raise _unusable(stored, str(error).replace(str(made), stored.path)) from None


def _unusable(stored: StoredFile, why: str) -> ModelError:
    return ModelError(f"The model in {stored.what} cannot be used. {why}")
