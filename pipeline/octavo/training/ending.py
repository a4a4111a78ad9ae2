"""Networks that end in softmax or sigmoid: it is taken off, so that training, calibration and files deal in logits.

The class with the highest score stays the same. What is recognized is the last activation of a Sequential or
functional model: an `activation=` of its last layer, a layer of its own, or a function call, also before layers that
only reshape. Other layers are left as they are.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.project.errors import ParamsError

RESHAPING = (layers.Flatten, layers.Reshape, layers.Dropout, layers.ActivityRegularization)
"""Layers after the last activation that change no value at inference."""
SQUASHING: dict[str, tuple[object, ...]] = {
    "softmax": (keras.activations.softmax, tf.nn.softmax, keras.backend.softmax),
    "sigmoid": (keras.activations.sigmoid, tf.nn.sigmoid, tf.math.sigmoid, keras.backend.sigmoid),
}
ACTIVATED = {
    layers.Activation, layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D,
    layers.Conv2DTranspose, layers.SeparableConv1D, layers.SeparableConv2D, layers.DepthwiseConv2D,
}  # fmt: skip
"""Layers whose `activation` is the last thing that they compute; of an LSTM it is not."""


def take_off(model: keras.Model) -> tuple[keras.Model, str | None]:
    """The network up to its last softmax or sigmoid, and which of the two was taken off, or None.

    Where it is the activation of a layer, that layer's activation becomes linear, in place; of everything else only
    the last layer of `model` is taken off.
    """
    last = _last(model)
    if last is None or last.output.shape[-1] != model.outputs[0].shape[-1]:
        return model, None
    kind = _kind(last)
    if kind and hasattr(last, "activation"):
        last.activation = keras.activations.linear
        return model, kind
    if kind and last is model.outputs[0].node.layer:
        return _without_last(model, last), kind
    return model, None


def taken_off(kind: str) -> str:
    """What to say of a network that ends in `kind` as written."""
    return (
        f"The network as written ends in {kind}, which is taken off: this file gives logits. Apply {kind} to them for "
        "what the network gave."
    )


def refuse_probabilities(outputs: np.ndarray, name: str) -> None:
    """Refuse a network whose `outputs`, (N, classes), on any images are probabilities all the same.

    Raises:
        ParamsError: no output is negative, and those of each image sum to one.
    """
    if (outputs >= 0).all() and np.allclose(outputs.sum(-1), 1, atol=1e-3):
        raise ParamsError(
            f"Network '{name}' gives probabilities, where logits are needed, and its softmax cannot be taken off, as "
            "it is not the last layer or function. Make it that (layers.Softmax()), or leave it out."
        )


def _last(model: keras.Model) -> keras.layers.Layer | None:
    """The layer that computes the output, but for reshaping; None where that is no layer of this use alone."""
    layer = model
    while isinstance(layer, keras.Model):
        if not layer.outputs:
            return None
        layer = layer.outputs[0].node.layer
        while isinstance(layer, RESHAPING) and len(layer.inbound_nodes) == 1:
            layer = layer.input.node.layer
        if len(layer.inbound_nodes) > 1:
            return None
    return layer


def _kind(layer: keras.layers.Layer) -> str | None:
    """Which squashing function the layer ends in, if any."""
    if type(layer) in ACTIVATED:
        return _named(layer.activation)
    if isinstance(layer, layers.Softmax):
        return "softmax"
    if isinstance(layer, layers.Lambda):
        return _named(layer.function)
    symbol = (getattr(layer, "symbol", None) or "").rpartition(".")[2]  # of a function called on a layer's output
    return symbol if symbol in SQUASHING else None


def _named(function: object) -> str | None:
    return next((kind for kind, known in SQUASHING.items() if any(function is each for each in known)), None)


def _without_last(model: keras.Model, last: keras.layers.Layer) -> keras.Model:
    if isinstance(model, keras.Sequential):
        model.pop()
        return model
    return keras.Model(model.inputs, last.input, name=model.name)
