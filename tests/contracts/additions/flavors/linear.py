"""`.linear` files in MLflow."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import TensorSpec

from octavo_mlflow.flavors import image_pyfunc
from octavo_mlflow.flavors.image_input import FLOAT32, Input
from octavo_mlflow.flavors.image_pyfunc import ImageModel


def open_file(path: Path | str, threads: int = 1) -> ImageModel:
    with Path(path).open("rb") as file:
        stored = np.load(file, allow_pickle=False)
    takes = Input(FLOAT32, (-1, len(stored) - 1))
    return ImageModel(takes, lambda images: images @ stored[:-1] + stored[-1])


def signature_of(path: Path | str) -> ModelSignature:
    with Path(path).open("rb") as file:
        features, classes = np.load(file, allow_pickle=False).shape
    return image_pyfunc.signature(Input(FLOAT32, (-1, features - 1)), TensorSpec(FLOAT32, (-1, classes)))


def save_model(
    linear_model: str, path: str, mlflow_model: Model, signature: ModelSignature | None = None, **options: Any
) -> None:
    mlflow_model.signature = signature or signature_of(linear_model)
    mlflow_model.add_flavor("linear", data=f"data/{Path(linear_model).name}")
    pyfunc.save_model(
        path,
        loader_module=__name__,
        data_path=linear_model,
        mlflow_model=mlflow_model,
        pip_requirements=["numpy"],
        **options,
    )


def log_model(path: Path, name: str, **options: Any) -> ModelInfo:
    info: ModelInfo = Model.log(
        artifact_path=None, name=name, flavor=sys.modules[__name__], linear_model=str(path), **options
    )
    return info


def _load_pyfunc(path: str) -> ImageModel:
    return open_file(path)
