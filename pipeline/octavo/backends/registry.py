"""Finds all formats and their runtimes. Each one is a folder of `octavo.backends`."""

import importlib
import pkgutil
from pathlib import Path

from octavo import backends
from octavo.backends.backend import Backend, Format
from octavo.backends.predictor import Predictor
from octavo.project.errors import ModelError

IMPORTED_BY_NAME = ("octavo.backends.*.backend",)
"""Modules that are imported by name. The digest of a stage's code, which follows imports, needs this list."""


def formats() -> dict[str, Format]:
    """Name -> format, for all formats. No runtime is imported.

    Raises:
        ModelError: a folder declares no format, or two folders declare the same name or suffix.
    """
    return {form.name: form for form in _folders().values()}


def named(name: str) -> Format:
    """The format called `name`, which is the prefix of variant and recipe names.

    Raises:
        ModelError: no format has this name. The message lists the known ones.
    """
    known = formats()
    if name not in known:
        raise ModelError(f"Unknown format '{name}'. Known: {', '.join(known)}.")
    return known[name]


def format_of(path: Path) -> Format:
    """The format of a model file, by its suffix. The file need not exist.

    Raises:
        ModelError: no format has this suffix. The message lists the known ones.
    """
    return _declaring(path)[1]


def backend_of(path: Path) -> Backend:
    """Import and return the runtime of a model file, by the file's suffix. The file need not exist.

    Raises:
        ModelError: no format has this suffix.
        ModuleNotFoundError: a library of the runtime is not installed.
    """
    module = importlib.import_module(f"{backends.__name__}.{_declaring(path)[0]}.backend")
    found: Backend = module.BACKEND
    return found


def open_model(path: Path, threads: int = 1) -> Predictor:
    """Open a model file for running on the CPU.

    Raises:
        ModelError: the file is missing or unreadable, or its format is unknown.
        ModuleNotFoundError: a library of the runtime is not installed.
    """
    format_of(path)
    if not path.is_file():
        raise ModelError(f"No model file {path}. Run dvc repro.")
    return backend_of(path).open_model(path, threads)


def _declaring(path: Path) -> tuple[str, Format]:
    """Name of the folder whose runtime is for this file, and the format that it declares."""
    known = {form.suffix: (folder, form) for folder, form in _folders().items()}
    if path.suffix not in known:
        raise ModelError(f"No runtime for {path}. Known: {', '.join(known)}.")
    return known[path.suffix]


def _folders() -> dict[str, Format]:
    """Name of a folder -> the format that it declares."""
    found: dict[str, Format] = {}
    for module in pkgutil.iter_modules(backends.__path__):
        if module.ispkg:
            found[module.name] = _declared(module.name)
    for what, values in (
        ("name", [form.name for form in found.values()]),
        ("suffix", [form.suffix for form in found.values()]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ModelError(f"Two folders of {backends.__name__} declare the {what} '{twice[0]}'. Rename one.")
    return found


def _declared(folder: str) -> Format:
    package = f"{backends.__name__}.{folder}"
    form = getattr(importlib.import_module(package), "FORMAT", None)
    if not isinstance(form, Format):
        raise ModelError(
            f"{package} declares no format. Define FORMAT in its __init__.py, as octavo.backends.backend explains."
        )
    return form
