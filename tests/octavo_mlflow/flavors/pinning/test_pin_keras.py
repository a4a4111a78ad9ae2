"""Networks of Keras that MLflow logged: their file is fetched, and no framework loads it before it was checked."""

import sys
from pathlib import Path
from typing import Any

import keras
import mlflow
import mlflow.keras
import mlflow.tensorflow
import numpy as np
import pytest
import tensorflow
from mlflow import MlflowClient
from mlflow.models import infer_signature

from octavo.training.keras_files import reading
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.flavors.pinning.registry import champion, refused

pytestmark = pytest.mark.slow
IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32)
FILE = Path("models/shared.keras")


def network(*more: Any) -> Any:
    layers = [keras.layers.Input((8, 8, 1)), *more, keras.layers.Flatten(), keras.layers.Dense(3)]
    return keras.Sequential(layers)


def logged(flavor: Any, made: Any, **options: Any) -> Path:
    with mlflow.start_run():
        found = flavor.log_model(made, name="net", registered_model_name="door", pip_requirements=["keras"], **options)
    return champion(found)


@pytest.mark.parametrize("flavor", [mlflow.keras, mlflow.tensorflow])
def test_the_network_is_the_one_that_was_logged(
    client: MlflowClient, octavo: Octavo, flavor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorflow, "keras", keras)  # else it depends on what this process imported first
    monkeypatch.setitem(sys.modules, "tensorflow.keras.models", keras.models)
    made = network(keras.layers.Conv2D(4, 3))
    place = logged(flavor, made)
    assert octavo("pin")[0] == 0
    assert FILE.read_bytes() == (place / "data/model.keras").read_bytes()
    assert np.array_equal(reading.read(FILE)(IMAGES), made(IMAGES))


def test_what_is_no_keras_file(client: MlflowClient, octavo: Octavo) -> None:
    logged(mlflow.keras, network(keras.layers.Lambda(abs)))
    assert "cannot be used. data/model.keras has a Lambda layer" in refused(octavo)
    made = network()
    logged(mlflow.keras, made, save_exported_model=True, signature=infer_signature(IMAGES, np.asarray(made(IMAGES))))
    assert "The keras model in version 2 of 'door' is not in a file .keras" in refused(octavo)
