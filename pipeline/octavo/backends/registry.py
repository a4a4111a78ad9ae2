"""Which formats there are, and their runtimes: a folder of `octavo.backends` each, found by looking."""

import importlib
import pkgutil
from pathlib import Path

from octavo import backends
from octavo.backends.backend import Backend, Format
from octavo.backends.predictor import Predictor
from octavo.project.errors import ModelError

IMPORTED_BY_NAME = ("octavo.backends.*.backend",)
"""For the digest of a stage's code, which follows imports."""


def formats() -> dict[str, Format]:
    """Every format, by name; no runtime is imported for this.

    Raises:
        ModelError: a folder declares no format, or two declare the same name or suffix.
    """
    return {form.name: form for form in _folders().values()}


def named(name: str) -> Format:
    """The format called `name`, as names of variants and recipes begin with it.

    Raises:
        ModelError: there is none; the message lists the known ones.
    """
    known = formats()
    if name not in known:
        raise ModelError(f"Unknown format '{name}'. Known: {', '.join(known)}.")
    return known[name]


def format_of(path: Path) -> Format:
    """The format of a model file, by its suffix; the file need not exist.

    Raises:
        ModelError: no format has that suffix; the message lists the known ones.
    """
    return _folders()[_folder(path)]


def backend_of(path: Path) -> Backend:
    """The runtime for a model file, by its suffix; it is imported here.

    Raises:
        ModelError: no format has that suffix.
        ModuleNotFoundError: a library of the runtime is not installed.
    """
    module = importlib.import_module(f"{backends.__name__}.{_folder(path)}.backend")
    found: Backend = module.BACKEND
    return found


def open_model(path: Path, threads: int = 1) -> Predictor:
    """Open a model file for running on the CPU.

    Raises:
        ModelError: the file is missing, unreadable or of an unknown format.
        ModuleNotFoundError: a library of its runtime is not installed.
    """
    format_of(path)
    if not path.is_file():
        raise ModelError(f"No model file {path}. Run dvc repro.")
    return backend_of(path).open_model(path, threads)


def _folder(path: Path) -> str:
    """The folder of the runtime for a file."""
    known = {form.suffix: folder for folder, form in _folders().items()}
    if path.suffix not in known:
        raise ModelError(f"No runtime for {path}. Known: {', '.join(known)}.")
    return known[path.suffix]


def _folders() -> dict[str, Format]:
    """Folder -> the format that it declares."""
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
            f"{package} declares no format. Give its __init__.py a FORMAT, as octavo.backends.backend has it."
        )
    return form
