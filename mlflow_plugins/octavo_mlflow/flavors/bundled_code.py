"""Octavo's code that is saved with each model, so that the model loads where Octavo is not installed."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOM = Path(__file__).parent
PACKAGE = ROOM.parent
OF_THE_LIBRARY = {"exact_sums.py": "onnxruntime", "integer_weights.py": "onnxruntime", "tensors.py": "litert/content"}
"""Files of the library that the model needs, and the runtimes whose folders they are in. They are saved beside the
others, under the names that those import.
"""
OF_THE_ROOM = ("__init__.py", "bundled_code.py", "image_input.py", "image_pyfunc.py", "litert.py", "onnx_pyfunc.py")
FILES = ("__init__.py", *(f"{ROOM.name}/{name}" for name in (*OF_THE_ROOM, *OF_THE_LIBRARY)))
"""The same for every model: a process that loads several models uses the package of the first."""


def copy(folder: Path) -> str:
    """Copy these files into `folder` as a package of the same name, and return the path for MLflow's code paths."""
    target = folder / PACKAGE.name
    (target / ROOM.name).mkdir(parents=True)
    for name in FILES:
        shutil.copy(_source(name), target / name)
    return str(target)


def requirements(
    default: list[str], conda_env: Any, given: list[str] | str | None, extra: list[str] | str | None
) -> dict[str, list[str] | str | None]:
    """The arguments `pip_requirements` and `extra_pip_requirements` of MLflow's `save_model`.

    Without them MLflow runs the model in another process to find its imports, which takes two seconds.

    Args:
        default: requirements of the flavor, in pip's format.
        conda_env: the caller's environment, if any.
        given: the caller's `pip_requirements`: a list, or the path of a file.
        extra: the caller's `extra_pip_requirements`, likewise.
    """
    if conda_env is not None or given is not None:
        return {"pip_requirements": given, "extra_pip_requirements": extra}
    more = [f"-r {extra}"] if isinstance(extra, str) else extra or []
    return {"pip_requirements": [*default, *more], "extra_pip_requirements": None}


def _source(name: str) -> Path:
    """The file to copy. In a model's own bundle, the library's files are beside this one."""
    library = find_spec("octavo")
    file = Path(name).name
    if file not in OF_THE_LIBRARY or library is None or library.origin is None:
        return PACKAGE / name
    return Path(library.origin).parent / "backends" / OF_THE_LIBRARY[file] / file
