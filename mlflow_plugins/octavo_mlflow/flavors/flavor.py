"""The interface of a flavor: how MLflow stores and loads the model files of one format.

A flavor is one module of this room, with the name of its format (`octavo.backends.backend.Format.name`). It is imported
only if a file of that format is used. The model's folder has the file in `data/`, under its own name, as
`mlflow.pyfunc.save_model` stores its `data_path`.
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
"""Modules that are imported by name. The digest of a stage's code, which follows imports, needs this list."""


class Flavor(Protocol):
    """What each flavor module has, in addition to MLflow's `save_model`, `load_model` and `_load_pyfunc`."""

    def signature_of(self, path: Path, /) -> ModelSignature:
        """The signature of a file with one input and one output, as the file declares them."""

    def log_model(self, path: Path, name: str, /, **options: Any) -> ModelInfo:
        """Log the file, byte for byte, as a logged model of the active run.

        Args:
            path: the model file.
            name: of the logged model.
            options: arguments of `mlflow.models.Model.log`, `signature` and `input_example` among them.
        """

    def open_file(self, path: Path, threads: int, /) -> ImageModel:
        """Open the file. Raises ModelError, ValueError or RuntimeError if it has not one input and one output."""


def flavor_of(path: Path) -> Flavor:
    """The flavor of a model file, by its suffix.

    Raises:
        ModelError: its format is unknown or has no flavor. The message lists the formats that have one.
    """
    form = registry.format_of(path)
    if find_spec(f"{flavors.__name__}.{form.name}") is None:
        known = [name for name in registry.formats() if find_spec(f"{flavors.__name__}.{name}")]
        raise ModelError(f"{form.title} files have no flavor in MLflow. Known formats there: {', '.join(known)}.")
    flavor: Flavor = importlib.import_module(f"{flavors.__name__}.{form.name}")
    return flavor
