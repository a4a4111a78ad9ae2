"""What travels with a model, so that it loads without octavo: code of it, as one package, and what that needs."""

import shutil
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
LIBRARY = PACKAGE.with_name("pipeline")
OF_THE_LIBRARY = ("exact_sums.py", "integer_weights.py")
"""Files that stand in the library where octavo is installed, and beside this one where it is not."""
FILES = ("__init__.py", "images.py", "image_model.py", "litert.py", "onnx_model.py", "own_code.py", *OF_THE_LIBRARY)
"""The same with every model: a process that loads several has this package from the first."""


def copy(folder: Path) -> str:
    """Put these files into `folder`, as a package of the same name; what to add to MLflow's code paths."""
    target = folder / PACKAGE.name
    target.mkdir()
    for name in FILES:
        shutil.copy(_place(name), target)
    return str(target)


def requirements(
    default: list[str], conda_env: Any, given: list[str] | str | None, extra: list[str] | str | None
) -> dict[str, list[str] | str | None]:
    """Two arguments of MLflow's `save_model`: a flavor's default and what is extra, unless something else is given.

    Left to itself MLflow runs the model in another process to see what it imports, which takes two seconds.
    """
    if conda_env is not None or given is not None:
        return {"pip_requirements": given, "extra_pip_requirements": extra}
    more = [f"-r {extra}"] if isinstance(extra, str) else extra or []
    return {"pip_requirements": [*default, *more], "extra_pip_requirements": None}


def _place(name: str) -> Path:
    original = LIBRARY / name
    return original if name in OF_THE_LIBRARY and original.is_file() else PACKAGE / name
