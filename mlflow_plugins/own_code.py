"""Code of this package that travels with a model, by MLflow's code paths, so that it loads without octavo."""

import shutil
from pathlib import Path

PACKAGE = Path(__file__).parent
FILES = ("__init__.py", "images.py", "image_model.py", "litert.py", "onnx_model.py", "own_code.py")
"""The same with every model: a process that loads several has this package from the first."""


def copy(folder: Path) -> str:
    """Put these files into `folder`, as a package of the same name; what to add to the code paths."""
    target = folder / PACKAGE.name
    target.mkdir()
    for name in FILES:
        shutil.copy(PACKAGE / name, target)
    return str(target)
