"""`octavo pin`: take networks of `brought` from MLflow's registry, and write their versions to `params.yaml`.

All is fetched and checked before the first file of the project changes.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import click

from octavo.brought import pinned, placing
from octavo.project.errors import ParamsError, known_are
from octavo.project.files import atomic_write, yaml_edit
from octavo.project.params.networks import Brought
from octavo.project.params.params import PARAMS, load_params
from octavo_mlflow.flavors.pinning import fetching, resolution
from octavo_mlflow.flavors.pinning.fetching import Pin
from octavo_mlflow.tracking import connection


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
                found += [fetching.fetched(client, name, given, update, stack) for name, given in asked.items()]
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
