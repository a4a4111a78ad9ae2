"""What somebody adds to Octavo, in this folder: a runtime, its recipe and flavor, a recipe of ONNX, a task.

They lie outside the packages, and are found as if they lay inside: each file where CONTRIBUTING says that it goes.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ADDED = Path(__file__).parent
PLACES = {
    "octavo.backends": "backends",
    "octavo.quantization.recipes": "recipes",
    "octavo.quantization.recipes.onnx": "recipes/onnx",
    "octavo_mlflow.flavors": "flavors",
}
"""Package -> the folder with what is added to it."""
NEW = ("octavo.backends.linear", "octavo.quantization.recipes.linear", "octavo_mlflow.flavors.linear")


@contextmanager
def added_to(*packages: str) -> Iterator[None]:
    """Let the files count as those of these packages."""
    with pytest.MonkeyPatch.context() as patch:
        for name in packages:
            package = importlib.import_module(name)
            patch.setattr(package, "__path__", [*package.__path__, str(ADDED / PLACES[name])])
        yield
    for name in [name for name in sys.modules if name.startswith(NEW)]:
        del sys.modules[name]
