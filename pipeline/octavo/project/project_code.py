"""The project's own Python files that a module runs, as a folder of links that DVC can watch.

DVC must be told each file that a stage depends on, but it cannot read from `train.network: mine:build` which files
these are. So a stage that always runs finds them by their import statements, and links to each. DVC reads through the
links: `dvc status` and `dvc repro` notice a change in a linked file at once, and new imports on the next `dvc repro`.
When a linked file is deleted, `dvc status` ends with an error that names it, until the next `dvc repro`.

Not found are modules that are imported by a computed name, and data files that a module reads.
"""

import ast
import os
import shutil
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from octavo.project.errors import ParamsError

INSTALLED = ("site-packages", "dist-packages")
"""Folders of libraries; a virtual environment often lies in the project, and is no part of it."""
STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]


class _Module(NamedTuple):
    name: str
    file: Path | None
    """None for one that has none, as built-in ones and packages without `__init__.py`."""
    package: str
    """What its relative imports start from."""


def link(module: str, folder: Path) -> None:
    """Replace `folder` by links to the files of `source_files(module)`.

    Raises:
        ParamsError: there is no such module, or one of the files is not valid Python.
    """
    found = source_files(module)
    if not found:
        raise ParamsError(f"No module '{module}' in {Path.cwd()} or among the installed ones.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for place, file in found.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(os.path.relpath(file, target.parent) if _is_own(file) else file)


def source_files(module: str) -> dict[Path, Path]:
    """The file of `module`, wherever it lies, and the project's own files that it imports, directly or not.

    Returns:
        The place that a file has by its module's name, for example `networks/blocks.py`, and its absolute path; in
        the order of the places. Nothing where there is no such module.

    Raises:
        ParamsError: one of the files is not valid Python.
    """
    start = _run_by(module)
    if not start or start[-1].name != module:
        return {}
    found: dict[str, Path] = {}
    waiting = [each for each in start if each is start[-1] or _is_own(each.file)]
    while waiting:
        name, file, package = waiting.pop()
        if file is None or name in found:
            continue
        found[name] = file
        waiting += [other for each in _imported(file, package) for other in _run_by(each) if _is_own(other.file)]
    return dict(sorted((_place(name, file), file) for name, file in found.items()))


def _run_by(name: str) -> list[_Module]:
    """What importing `name` runs: its packages, the outermost first, and itself, as far as they are found."""
    parts = name.split(".")
    modules: list[_Module] = []
    spec = _top(parts[0])
    for depth, part in enumerate(parts[1:], 1):
        if spec is None:
            break
        modules.append(_module(".".join(parts[:depth]), spec))
        below = spec.submodule_search_locations
        spec = PathFinder.find_spec(part, list(below)) if below is not None else None
    return modules if spec is None else [*modules, _module(name, spec)]


def _module(name: str, spec: ModuleSpec) -> _Module:
    file = Path(spec.origin).absolute() if spec.has_location and spec.origin else None
    return _Module(name, file, name if spec.submodule_search_locations is not None else name.rpartition(".")[0])


@cache
def _top(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name) if name else None
    except (ImportError, ValueError):  # ValueError: a module that was made at run time
        return None


def _is_own(file: Path | None) -> bool:
    if file is None or not file.is_relative_to(Path.cwd()) or file.is_relative_to(STANDARD_LIBRARY):
        return False
    return not set(INSTALLED) & set(file.parts)


def _place(name: str, file: Path) -> Path:
    folder = Path(*name.split("."))
    return folder / file.name if file.stem == "__init__" else folder.with_name(file.name)


@cache
def _imported(file: Path, package: str) -> tuple[str, ...]:
    """Dotted names that a file imports; of `from a import b` both `a` and `a.b`, since `b` may be a module."""
    if file.suffix != ".py":
        return ()
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes
        line = f", line {error.lineno}," if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ParamsError(f"{file}{line} is not valid Python: {said}. Repair it, then run dvc repro.") from None
    return tuple(dict.fromkeys(_names(tree, package)))


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
