"""What a network has to be before anything is trained: a tf_keras model of one image to one score a class.

Each function refuses one kind of misfit in a sentence.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from octavo.project.errors import ParamsError
from octavo.training import ending

IMAGES = 4
"""Random images in 0..1 that a network is run on."""


def admit_kind(model: object, name: str) -> None:
    """Refuse what is no tf_keras model.

    Raises:
        ParamsError: names its kind, and what to import where it is a model of another Keras.
    """
    if isinstance(model, keras.Model):
        return
    kind = type(model)
    modules = {base.__module__.partition(".")[0] for base in kind.__mro__}
    if "keras" in modules:
        raise ParamsError(
            f"Network '{name}' built a {kind.__name__} of Keras 3; allowed is a tf_keras model: write "
            "'import tf_keras as keras' for 'import keras', or use tf.keras."
        )
    raise ParamsError(
        f"Network '{name}' built a {kind.__name__}; allowed is a tf_keras model{_returned(model)}: Sequential, "
        "functional, or subclassed."
    )


def _returned(model: object) -> str:
    return ", which the function has to return" if model is None else ""


def run(model: keras.Model, image_shape: tuple[int, ...]) -> object:
    """What `model` gives for a few random images; a model that was not built yet is built by that.

    The images do not depend on any seed, and drawing them does not move any.
    """
    images = np.random.default_rng(0).random((IMAGES, *image_shape), dtype=np.float32)
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *image_shape))
    return model(images, training=False)


def admit_ends(model: keras.Model, name: str, image_shape: tuple[int, ...], classes: int) -> None:
    """Refuse a graph of layers whose input or output does not fit the data.

    Raises:
        ParamsError: more than one tensor, another shape or dtype, or a fixed batch.
    """
    if not model.outputs:  # subclassed: only its outputs can be looked at
        return
    for ends, what in ((model.input, "takes"), (model.output, "gives")):
        if not tf.is_tensor(ends) and not hasattr(ends, "shape"):
            raise ParamsError(
                f"Network '{name}' {what} a {type(ends).__name__} of {len(tf.nest.flatten(ends))}; allowed is one "
                "tensor: images in, logits out."
            )
        if ends.dtype != tf.float32:
            raise ParamsError(
                f"Network '{name}' {what} {ends.dtype.name}; allowed is float32, as images in 0..1 and logits are."
            )
    if model.input_shape[0] is not None:
        raise ParamsError(f"Network '{name}' takes {model.input_shape[0]} images at a time; leave the batch size free.")
    if tuple(model.input_shape[1:]) != image_shape or tuple(model.output_shape[1:]) != (classes,):
        raise ParamsError(
            f"Network '{name}' maps {model.input_shape} to {model.output_shape}; "
            f"the data need {(None, *image_shape)} to {(None, classes)}{_one_score(model.output_shape, classes)}."
        )


def _one_score(shape: tuple[int | None, ...], classes: int) -> str:
    return ": a score for each of the two classes, not one for both" if shape[1:] == (1,) and classes == 2 else ""


def admit_outputs(outputs: Any, name: str, classes: int) -> None:
    """Refuse what `run` gave where it cannot be logits.

    Raises:
        ParamsError: another kind or shape, values that are not finite, or probabilities.
    """
    if not tf.is_tensor(outputs):
        raise ParamsError(f"Network '{name}' gives a {type(outputs).__name__}; allowed is one tensor, the logits.")
    if tuple(outputs.shape) != (IMAGES, classes) or outputs.dtype != tf.float32:
        raise ParamsError(
            f"Network '{name}' gives {outputs.dtype.name} {tuple(outputs.shape)} for {IMAGES} images; the data need "
            f"float32 {(IMAGES, classes)}{_one_score(outputs.shape, classes)}."
        )
    values = np.asarray(outputs)
    if not np.isfinite(values).all():
        raise ParamsError(
            f"Network '{name}' gives {_count(~np.isfinite(values))} that are not finite for images in 0..1, before "
            "anything is trained. Look for a division by zero, a logarithm, or weights that are too large."
        )
    ending.refuse_probabilities(values, name)


def admit_weights(model: keras.Model, name: str) -> None:
    """Refuse a network in which there is nothing to train.

    Raises:
        ParamsError: it has no weights, or all of them are frozen.
    """
    if not model.weights:
        raise ParamsError(f"Network '{name}' has no parameters, so there is nothing to train or to quantize.")
    if not model.trainable_weights:
        raise ParamsError(
            f"Network '{name}' has all its {model.count_params():,} parameters frozen; leave at least one layer "
            "trainable."
        )


def _count(which: np.ndarray) -> str:
    return f"{int(which.sum())} of {math.prod(which.shape)} logits"
