"""The contract of a flavor: how model files of one format lie in MLflow.

A flavor is one module of this room, called as its format is (`octavo.backends.backend.Format.name`): found by looking,
imported when a file of that format is asked for. Its model folder holds the file under its own name, in `data/`, as
`mlflow.pyfunc.save_model` keeps what it is given as `data_path`.
"""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo

from octavo.backends import registry
from octavo.project.errors import ModelError
from octavo_mlflow import flavors
from octavo_mlflow.flavors.image_pyfunc import ImageModel

IMPORTED_BY_NAME = ("octavo_mlflow.flavors.*",)
"""For the digest of a stage's code, which follows imports."""


class Flavor(Protocol):
    """What every flavor module offers, beside what MLflow asks of one (`save_model`, `load_model`, `_load_pyfunc`)."""

    def signature_of(self, path: Path, /) -> ModelSignature:
        """One tensor in, one out, as the file declares them."""

    def log_model(self, path: Path, name: str, /, **options: Any) -> ModelInfo:
        """Log the file, byte for byte, as a logged model of the active run.

        Args:
            path: the model file.
            name: of the logged model.
            options: arguments of `mlflow.models.Model.log`, `signature` and `input_example` among them.
        """

    def open_file(self, path: Path, threads: int, /) -> ImageModel:
        """The file opened raw; raises ModelError, ValueError or RuntimeError where it is none of one tensor each."""


def flavor_of(path: Path) -> Flavor:
    """The flavor of a model file, by its suffix.

    Raises:
        ModelError: its format is unknown, or has no flavor; the message lists those that have one.
    """
    form = registry.format_of(path)
    if find_spec(f"{flavors.__name__}.{form.name}") is None:
        known = [name for name in registry.formats() if find_spec(f"{flavors.__name__}.{name}")]
        raise ModelError(f"{form.title} files have no flavor in MLflow. Known formats there: {', '.join(known)}.")
    flavor: Flavor = importlib.import_module(f"{flavors.__name__}.{form.name}")
    return flavor
