"""The Keras that a network belongs to: Keras 2 (tf_keras) or Keras 3."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras as keras_3
import tf_keras

LIBRARIES = (tf_keras, keras_3)
KERAS_3 = "network.weights.h5"
"""Keras 3 saves and loads weights under no other ending."""


def of(model: object) -> Any:
    """The library whose model it is: `tf_keras` or `keras`; None if it is no model."""
    return next((library for library in LIBRARIES if isinstance(model, library.Model)), None)


def set_random_seed(seed: int) -> None:
    """Seed every generator, those of both libraries too."""
    for library in LIBRARIES:
        library.utils.set_random_seed(seed)


def save_weights(model: Any, target: Path) -> None:
    """Save the weights of a model of either library as `target`, whose suffix is `.h5`."""
    if of(model) is tf_keras:
        model.save_weights(target)
    else:
        model.save_weights(target.with_name(KERAS_3))
        target.with_name(KERAS_3).rename(target)


def load_weights(model: Any, path: Path) -> None:
    """Load what `save_weights` saved into a model, in place. Raises as the library does."""
    if of(model) is tf_keras:
        model.load_weights(path)
        return
    with TemporaryDirectory() as folder:
        model.load_weights(shutil.copy(path, Path(folder, KERAS_3)))


def clear_session() -> None:
    """Begin to count the names of layers anew."""
    tf_keras.backend.clear_session()
    keras_3.utils.clear_session()
