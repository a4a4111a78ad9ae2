"""`octavo pin`: take networks of `brought` from MLflow's registry, and write their versions to `params.yaml`.

All is fetched and checked before the first file of the project changes.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from mlflow import MlflowClient

from octavo.brought import pinned, placing
from octavo.project.errors import ModelError, ParamsError, known_are
from octavo.project.files import atomic_write, yaml_edit
from octavo.project.params import registry_uri
from octavo.project.params.networks import Brought
from octavo.project.params.params import PARAMS, load_params
from octavo_mlflow.flavors.pinning import resolution, stored_file
from octavo_mlflow.flavors.pinning.stored_file import StoredFile
from octavo_mlflow.tracking import connection

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


def pin(names: Sequence[str], update: bool) -> None:
    """Do what `octavo pin` asks for.

    Args:
        names: of networks; all of a registry if empty.
        update: move to the version that the alias points to now.

    Raises:
        ParamsError: there is no such network, or it is not of a registry.
        ModelError: the registry lacks it, its file cannot be used, or a file is not the pinned one. Nothing changed.
        ServiceUnavailable: MLflow is out of reach. Nothing changed.
    """
    entries = _chosen(load_params().brought, names)
    with ExitStack() as stack:
        found = [each for name, given in entries.items() if not update and (each := _at_rest(name, given))]
        asked = {name: given for name, given in entries.items() if name not in {each.name for each in found}}
        if asked:
            resolution.require_store()
            with connection.connected(existing=True) as client:
                found += [_fetched(client, name, given, update, stack) for name, given in asked.items()]
        text = _params(found)
        for each in found:
            if each.made is not None:
                placing.put(each.made, each.file)
        if text is not None:
            atomic_write.write_bytes(PARAMS, text.encode())
    for line in map(_said, found):
        click.echo(line)


def _chosen(brought: Mapping[str, Brought], names: Sequence[str]) -> dict[str, Brought]:
    """The entries that are asked for."""
    ours = {name: given for name, given in brought.items() if given.uri is not None}
    for name in names:
        if name in brought and name not in ours:
            raise ParamsError(
                f"brought.{name} is the file {brought[name].file}, and only entries with a uri are pinned."
            )
        if name not in ours:
            raise ParamsError(f"Unknown network '{name}'.{known_are(name, ours)}. Add it to brought in {PARAMS}.")
    if not ours:
        raise ParamsError(
            f"No entry of brought in {PARAMS} has a uri, so nothing is pinned. Add one: brought: {{shared: {{uri: "
            "models:/door@champion}}."
        )
    return {name: ours[name] for name in names} if names else ours


def _at_rest(name: str, given: Brought) -> Pin | None:
    """The pin of a network whose file is there, without a question to MLflow; None if it has to be fetched."""
    if given.version is None:
        return None
    pinned.require_pin(name, given)
    if not given.file.is_file():
        return None
    pinned.require(name, given)
    return Pin(name, given, given.version, str(given.sha256), given.file)


def _fetched(client: MlflowClient, name: str, given: Brought, update: bool, stack: ExitStack) -> Pin:
    """Fetch the pinned version of a network, or the one that its address names now.

    Args:
        client: of the tracking store.
        name: of the network.
        given: its entry.
        update: whether a pinned network may move.
        stack: keeps the fetched file until it is closed.
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


def _params(found: Sequence[Pin]) -> str | None:
    """The new text of `params.yaml`; None if it stays as it is."""
    old = text = PARAMS.read_bytes().decode()
    for each in found:
        if each.values:
            text = yaml_edit.with_keys(text, ("brought", each.name), each.values)
    return None if text == old else text


def _said(each: Pin) -> str:
    """The result for one network, as a line."""
    was, uri = each.given.version, each.given.uri
    if was == each.version:
        done = "fetched again" if each.made else "unchanged"
        return f"{each.name}: pinned to version {was}, {done} ({each.file})"
    versions = f"{was} -> {each.version}" if was else str(each.version)
    sums = f"{str(each.given.sha256)[:12]} -> {each.sha256[:12]}" if was else each.sha256[:12]
    return f"{each.name}: {uri}, version {versions}, sha256 {sums} ({each.file})"
