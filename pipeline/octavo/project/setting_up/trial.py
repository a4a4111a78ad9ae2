"""Try what a user gives to `octavo init` with the readers that the stages use, before anything is written.

The readers are on higher floors, so they are entry points of the group `octavo.actions`. What needs an extra that is
not installed is not tried, which is said.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import click

from octavo.project import extras
from octavo.project.cli import act
from octavo.project.errors import ParamsError, known_are
from octavo.project.params.data import Data
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.networks import KERAS_DOOR, door

READERS = {"octavo.brought.onnx_file": "try_onnx", KERAS_DOOR: "try_keras"}
"""Door of a brought file -> the action that tries it."""


@dataclass(frozen=True)
class SeenData:
    """What was seen of the data."""

    shape: tuple[int, ...]
    """Of one example as stored."""
    dtype: str
    classes: int | None
    """None if not all examples were read."""
    train: int | None
    """Number of examples of the train split; None if not all examples were read."""


@dataclass(frozen=True)
class SeenNetwork:
    """What a file says of its network; None for what it does not say."""

    shape: tuple[int | None, ...] | None
    """Of one example as the network takes it; None inside for a free size."""
    outputs: int | None
    """Number of values for one example."""


def data(given: Data) -> SeenData | None:
    """Read the data as the stage `prepare` does; of large data, some examples. None if that is not possible here.

    Raises:
        OctavoError: as the source's reader.
    """
    found: SeenData | None = _tried("try_data", given)
    return found


def network(file: Path) -> SeenNetwork | None:
    """Read a network's file as the stage `bring` does. None if that is not possible here.

    Raises:
        OctavoError: as the file's reader.
    """
    action = READERS.get(door(file))
    found: SeenNetwork | None = _tried(action, file) if action else None
    return found


def encoding(examples: SeenData, taken: SeenNetwork, declared: InputEncoding) -> InputEncoding:
    """The encoding whose layout makes of stored examples what the network takes: `declared`, if it does.

    Args:
        examples: what was seen of the data.
        taken: what was seen of the network.
        declared: the encoding to begin with.

    Raises:
        OctavoError: none does, or the network has another number of outputs than the data have classes.
    """
    found: InputEncoding = act("try_fit", examples, taken, declared)
    return found


def _tried(action: str, given: object) -> Any:
    try:
        return act(action, given)
    except ModuleNotFoundError as fault:
        if (said := extras.sentence(fault)) is None:
            raise
        click.echo(f"not tried: {given if isinstance(given, Path) else 'the data'}. {said}", err=True)
        return None


def function(name: str, what: str, project: Path, root: Path) -> None:
    """Check that `module:function` is in a Python file that the stages find. The file is read, and not run.

    Args:
        name: `module:function`.
        what: start of the message, such as "Network 'mine:build'".
        project: the folder of `params.yaml`.
        root: of the repository.

    Raises:
        ParamsError: there is no such module or no such name in it, or the file is not Python.
    """
    module, _, called = name.partition(":")
    folders = [str(each) for each in (project, root, root / "src")]
    spec = _spec(module, [*folders, *sys.path])
    if spec is None:
        places = ", ".join(dict.fromkeys(folders))
        raise ParamsError(f"{what}: there is no module '{module}' in {places} or among the installed packages.")
    if not spec.origin or not spec.origin.endswith(".py"):
        return
    known = _names(Path(spec.origin), what)
    if called not in known and "*" not in known:
        raise ParamsError(f"{what}: '{called}' is not in {spec.origin}.{known_are(called, known)}.")


def _spec(module: str, folders: Sequence[str]) -> ModuleSpec | None:
    """Where a module is, found without running its packages."""
    spec, places = None, list(folders)
    for part in module.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    return spec


def _names(file: Path, what: str) -> list[str]:
    """The names that a Python file defines or takes from modules, sorted; `*` if it takes all names of one."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:
        raise ParamsError(f"{what}: {file} cannot be read as Python: {error}. Correct it.") from None
    return sorted(set(_defined(tree)))


def _defined(tree: ast.AST) -> Iterator[str]:
    """The names of a module, without those inside its functions and classes."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.ImportFrom(names=names):
                yield from (each.asname or each.name for each in names)
            case ast.Import() | ast.Lambda():
                pass
            case _:
                yield from _defined(node)
