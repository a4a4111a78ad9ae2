"""The Keras that a network belongs to: Keras 2 (tf_keras) or Keras 3."""

from typing import Any

import keras as keras_3
import tf_keras

LIBRARIES = (tf_keras, keras_3)


def of(model: object) -> Any:
    """The library whose model it is: `tf_keras` or `keras`; None if it is no model."""
    return next((library for library in LIBRARIES if isinstance(model, library.Model)), None)


def set_random_seed(seed: int) -> None:
    """Seed every generator, those of both libraries too."""
    for library in LIBRARIES:
        library.utils.set_random_seed(seed)


def clear_session() -> None:
    """Begin to count the names of layers anew."""
    tf_keras.backend.clear_session()
    keras_3.utils.clear_session()
