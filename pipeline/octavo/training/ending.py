"""Remove a final softmax or sigmoid from a network, so that training, calibration and model files use logits.

The class with the highest score stays the same. The last activation of a Sequential or functional model is recognized:
as an `activation=` of its last layer, as a separate layer, or as a function call, also if only reshaping layers follow.
Other layers are not changed.
"""

from typing import Any

import keras as keras_3
import numpy as np
import tensorflow as tf
import tf_keras

from octavo.project.errors import ParamsError
from octavo.training.fitting import library


def _layers(names: str) -> tuple[type, ...]:
    """The layers of these names in both libraries."""
    return tuple(getattr(keras.layers, name) for keras in library.LIBRARIES for name in names.split())


RESHAPING: tuple[Any, ...] = _layers("Flatten Reshape Dropout ActivityRegularization")
"""Layers that change no value at inference, so they may follow the last activation."""
SQUASHING: dict[str, tuple[object, ...]] = {
    kind: tuple(getattr(place, kind) for place in (tf_keras.activations, tf_keras.backend, tf.nn, keras_3.activations))
    for kind in ("softmax", "sigmoid")
}
SOFTMAX = _layers("Softmax")
FUNCTIONS: tuple[Any, ...] = _layers("Lambda")
ACTIVATED = _layers(
    "Activation Dense EinsumDense Conv1D Conv2D Conv3D Conv2DTranspose SeparableConv1D SeparableConv2D DepthwiseConv2D"
)
"""Layers that compute their `activation` last. An LSTM, for example, does not."""


def take_off(model: Any) -> tuple[Any, str | None]:
    """Remove a final softmax or sigmoid.

    If it is the activation of a layer, that layer becomes linear, in place. Otherwise it is removed only if it is the
    last layer of `model`.

    Returns:
        The network, and `softmax` or `sigmoid`, or None if nothing was removed.
    """
    last = _last(model)
    if last is None or last.output.shape[-1] != model.outputs[0].shape[-1]:
        return model, None
    kind = _kind(last)
    if kind and hasattr(last, "activation"):
        last.activation = library.of(model).activations.linear
        return model, kind
    if kind and last is _maker(model.outputs[0]):
        return _without_last(model, last), kind
    return model, None


def taken_off(kind: str) -> str:
    """The note for a network whose final `kind`, softmax or sigmoid, was removed."""
    return (
        f"The network as written ends in {kind}, which was removed: this file gives logits. Apply {kind} to them to "
        "get the original outputs."
    )


def refuse_probabilities(outputs: np.ndarray, name: str) -> None:
    """Check that a network's outputs, float32 (N, classes) for any images, are not probabilities.

    Raises:
        ParamsError: no output is negative, and those of each image sum to one.
    """
    if (outputs >= 0).all() and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        raise ParamsError(
            f"Network '{name}' gives probabilities, but logits are needed. Its softmax cannot be removed, because it "
            "is not the last layer or function. Make it the last layer (layers.Softmax()), or leave it out."
        )


def _last(model: Any) -> Any | None:
    """The layer that computes the output, ignoring reshaping layers; None if the layer is also used elsewhere."""
    layer = model
    while library.of(layer):
        if not getattr(layer, "outputs", None):  # subclassed
            return None
        layer = _maker(layer.outputs[0])
        while isinstance(layer, RESHAPING) and len(layer._inbound_nodes) == 1:  # noqa: SLF001 - no public list in Keras 3
            layer = _maker(layer.input)
        if len(layer._inbound_nodes) > 1:  # noqa: SLF001
            return None
    return layer


def _maker(tensor: Any) -> Any:
    """The layer, or Keras 3's operation, that gives a tensor of a network."""
    history = tensor._keras_history  # noqa: SLF001 - both libraries have it, and nothing public in its place
    return history.operation if hasattr(history, "operation") else history.layer


def _kind(layer: Any) -> str | None:
    """`softmax` or `sigmoid` if the layer computes it last, else None."""
    if type(layer) in ACTIVATED:
        return _named(layer.activation)
    if isinstance(layer, SOFTMAX):
        return "softmax"
    if isinstance(layer, FUNCTIONS):
        return _named(layer.function)
    called = getattr(layer, "symbol", None) or _operation(layer)  # a function on a layer's output
    symbol = called.rpartition(".")[2]
    return symbol if symbol in SQUASHING else None


def _operation(layer: Any) -> str:
    """The name of an operation of Keras 3; empty for layers."""
    kind = type(layer)
    return kind.__name__.lower() if kind.__module__.startswith("keras.src.ops.") else ""


def _named(function: object) -> str | None:
    return next((kind for kind, known in SQUASHING.items() if any(function is each for each in known)), None)


def _without_last(model: Any, last: Any) -> Any:
    keras = library.of(model)
    if isinstance(model, keras.Sequential):
        model.pop()
        return model
    return keras.Model(model.inputs, last.input, name=model.name)
