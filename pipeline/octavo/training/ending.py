"""Remove a final softmax or sigmoid from a network, so that training, calibration and model files use logits.

The class with the highest score stays the same. The last activation of a Sequential or functional model is recognized:
as an `activation=` of its last layer, as a separate layer, or as a function call, also if only reshaping layers follow.
Other layers are not changed.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.project.errors import ParamsError

RESHAPING = (layers.Flatten, layers.Reshape, layers.Dropout, layers.ActivityRegularization)
"""Layers that change no value at inference, so they may follow the last activation."""
SQUASHING: dict[str, tuple[object, ...]] = {
    "softmax": (keras.activations.softmax, tf.nn.softmax, keras.backend.softmax),
    "sigmoid": (keras.activations.sigmoid, tf.nn.sigmoid, tf.math.sigmoid, keras.backend.sigmoid),
}
ACTIVATED = {
    layers.Activation, layers.Dense, layers.EinsumDense, layers.Conv1D, layers.Conv2D, layers.Conv3D,
    layers.Conv2DTranspose, layers.SeparableConv1D, layers.SeparableConv2D, layers.DepthwiseConv2D,
}  # fmt: skip
"""Layers that compute their `activation` last. An LSTM, for example, does not."""


def take_off(model: keras.Model) -> tuple[keras.Model, str | None]:
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
        last.activation = keras.activations.linear
        return model, kind
    if kind and last is model.outputs[0].node.layer:
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


def _last(model: keras.Model) -> keras.layers.Layer | None:
    """The layer that computes the output, ignoring reshaping layers; None if the layer is also used elsewhere."""
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
    """`softmax` or `sigmoid` if the layer computes it last, else None."""
    if type(layer) in ACTIVATED:
        return _named(layer.activation)
    if isinstance(layer, layers.Softmax):
        return "softmax"
    if isinstance(layer, layers.Lambda):
        return _named(layer.function)
    symbol = (getattr(layer, "symbol", None) or "").rpartition(".")[2]  # for a function called on a layer's output
    return symbol if symbol in SQUASHING else None


def _named(function: object) -> str | None:
    return next((kind for kind, known in SQUASHING.items() if any(function is each for each in known)), None)


def _without_last(model: keras.Model, last: keras.layers.Layer) -> keras.Model:
    if isinstance(model, keras.Sequential):
        model.pop()
        return model
    return keras.Model(model.inputs, last.input, name=model.name)
