"""Open a network that Keras 2 (tf_keras) or Keras 3 saved, with the Keras that saved it."""

from pathlib import Path
from typing import Any

import keras as keras_3
import tf_keras

from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.training.keras_files import containers


def read(path: Path) -> Any:
    """The network in a `.keras` file or a whole `.h5` file: a model of tf_keras or of Keras 3, not compiled.

    Raises:
        ModelError: the file is refused or damaged, or its network cannot be built.
    """
    saved = containers.look_into(path)
    keras = keras_3 if saved.is_keras_3 else tf_keras
    what = f"Keras {saved.version} saved {path}, and {keras.__name__} {keras.__version__} cannot build its network"
    with foreign_code.code(what, ModelError, advice="Save it again, or bring it as ONNX."):
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path} holds a {type(model).__name__}, and a network is needed. Save the whole network.")
    return model


def is_tf_keras(model: object) -> bool:
    """Whether it can be trained here: Octavo trains networks of tf_keras."""
    return isinstance(model, tf_keras.Model)
