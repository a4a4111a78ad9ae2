"""Checks of a network before it is trained: it must be a Keras model from images to one logit per class.

Each function checks one requirement and raises an error in one sentence.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from octavo.project.errors import ParamsError
from octavo.training import ending
from octavo.training.fitting import library

IMAGES = 4
"""Number of random images, with values in 0..1, that a network is run on."""


def admit_kind(model: object, name: str) -> None:
    """Check that a builder returned a model of tf_keras or of Keras 3.

    Raises:
        ParamsError: it did not.
    """
    if library.of(model) is None:
        raise ParamsError(
            f"Network '{name}' built a {type(model).__name__}; allowed is a model of tf_keras or Keras "
            f"3{_returned(model)}: Sequential, functional, or subclassed."
        )


def _returned(model: object) -> str:
    return ", which the function has to return" if model is None else ""


def run(model: Any, image_shape: tuple[int, ...]) -> object:
    """The outputs of `model` for a few random images, float32 (N, *image_shape). An unbuilt model is built by this.

    The images are always the same, and drawing them does not change the state of any other random generator.
    """
    images = np.random.default_rng(0).random((IMAGES, *image_shape), dtype=np.float32)
    if _is_sequential(model) and not model.built:
        model.build((None, *image_shape))
    return model(images, training=False)


def admit_ends(model: Any, name: str, image_shape: tuple[int, ...], classes: int) -> None:
    """Check that the input and output of a graph of layers fit the data.

    Args:
        model: the network. A subclassed model is not checked.
        name: of the network.
        image_shape: (H, W) or (H, W, C).
        classes: number of classes.

    Raises:
        ParamsError: an input or output has more than one tensor, the wrong shape or dtype, or a fixed batch size.
    """
    if not getattr(model, "outputs", None):  # subclassed: only the results of a run can be checked
        return
    for ends, what in ((_ends(model, "input"), "takes"), (_ends(model, "output"), "gives")):
        if not tf.is_tensor(ends) and not hasattr(ends, "shape"):
            raise ParamsError(
                f"Network '{name}' {what} a {type(ends).__name__} of {len(tf.nest.flatten(ends))}; allowed is one "
                "tensor: images in, logits out."
            )
        if ends.dtype != tf.float32:
            raise ParamsError(
                f"Network '{name}' {what} {tf.as_dtype(ends.dtype).name}; allowed is float32, as images in 0..1 and "
                "logits are."
            )
    if model.input_shape[0] is not None:
        raise ParamsError(f"Network '{name}' takes {model.input_shape[0]} images at a time; leave the batch size free.")
    if tuple(model.input_shape[1:]) != image_shape or tuple(model.output_shape[1:]) != (classes,):
        raise ParamsError(
            f"Network '{name}' maps {model.input_shape} to {model.output_shape}; "
            f"the data need {(None, *image_shape)} to {(None, classes)}{_one_score(model.output_shape, classes)}."
        )


def _ends(model: Any, which: str) -> Any:
    """The tensor that a network takes or gives, or the list or mapping of several."""
    found = getattr(model, f"{which}s")
    return found[0] if isinstance(found, list) and len(found) == 1 and _is_sequential(model) else getattr(model, which)


def _is_sequential(model: Any) -> bool:
    return isinstance(model, library.of(model).Sequential)


def _one_score(shape: tuple[int | None, ...], classes: int) -> str:
    return ": a score for each of the two classes, not one for both" if shape[1:] == (1,) and classes == 2 else ""


def admit_outputs(outputs: Any, name: str, classes: int) -> None:
    """Check that the result of `run` can be logits.

    Args:
        outputs: the result of `run`.
        name: of the network.
        classes: number of classes.

    Raises:
        ParamsError: it is not one tensor, has the wrong shape or dtype, has values that are not finite, or has
            probabilities.
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
            "training. Look for a division by zero, a logarithm, or weights that are too large."
        )
    ending.refuse_probabilities(values, name)


def admit_weights(model: Any, name: str) -> None:
    """Check that there are weights to train.

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
