"""Quantization-aware training: fake quantization around every layer, its ranges taken from calibration."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras import quantizers
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_configs as configs,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_registry as registry,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_scheme as scheme,
)

from pipeline import foreign
from pipeline.errors import ModelError
from pipeline.training.floating import Float, lay_out

ACTIVATIONS = ("linear", "relu", "sigmoid", "softmax", "tanh", "swish", "gelu")
"""Of Keras, which TFMOT knows by name."""
SAME = (tf.nn.relu, tf.nn.sigmoid, tf.nn.softmax, tf.nn.tanh, tf.nn.swish, tf.nn.gelu)
"""TensorFlow's, which mean the same under the same name."""
ACTIVATION_QUANTIZERS = (quantizers.MovingAverageQuantizer, quantizers.AllValuesQuantizer)
"""The latter of the network's input."""
NARROW = 1e-6
"""Width of a learned range below which its layer counts as one that gives zeros only."""


class AloneConfig(configs.Default8BitOutputQuantizeConfig):
    """Of a batch normalization that no layer in front of it absorbs: it is computed in float, its output quantized."""


class Registry(registry.Default8BitQuantizeRegistry):
    """TFMOT's, which refuses a network with such a batch normalization."""

    def supports(self, layer: keras.layers.Layer) -> bool:
        return super().supports(layer) or type(layer) is keras.layers.BatchNormalization

    def get_quantize_config(self, layer: keras.layers.Layer) -> object:
        alone = type(layer) is keras.layers.BatchNormalization
        return AloneConfig() if alone else super().get_quantize_config(layer)


class Scheme(scheme.Default8BitQuantizeScheme):
    def get_quantize_registry(self) -> Registry:
        return Registry()


def annotate(model: keras.Model) -> keras.Model:
    """`model` with fake quantization (8 bits, per-channel convolution weights), but for what TFMOT knows none for.

    `float_layers` names what stays in float. `model` itself is not to be used any more: layers in float are shared.

    Raises:
        ModelError: it is no graph of layers, or there is nothing in it that TFMOT can quantize.
    """
    what = f"Network '{model.name}' cannot be trained quantization-aware"
    if not model.outputs:
        raise ModelError(f"{what}: TFMOT takes Sequential and functional models, and this one is subclassed.")
    with foreign.code(what, ModelError):
        layout = lay_out(model, _stays_float)
        with keras.utils.custom_object_scope(layout.scope):
            annotated = keras.models.clone_model(layout.model, clone_function=_annotated)
            if not any(_has_weights(layer) for layer in annotated.layers):
                raise ModelError(f"{what}: TFMOT can quantize none of its layers that have weights.")
            return tfmot.quantization.keras.quantize_apply(annotated, Scheme())


def float_layers(model: keras.Model) -> list[str]:
    """Names of the layers of a network from `annotate` that stay in float."""
    kept = [layer.kept.name for layer in model.layers if isinstance(layer, Float)]
    alone = [
        layer.layer.name for layer in model.layers if isinstance(getattr(layer, "quantize_config", None), AloneConfig)
    ]
    return list(dict.fromkeys([*kept, *alone]))


def _annotated(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer if isinstance(layer, Float) else tfmot.quantization.keras.quantize_annotate_layer(layer)


def _has_weights(layer: keras.layers.Layer) -> bool:
    """Weights other than batch normalization's, which are no weights of a matrix."""
    inner = getattr(layer, "layer", None)
    return inner is not None and bool(inner.weights) and not isinstance(inner, keras.layers.BatchNormalization)


def _stays_float(layer: keras.layers.Layer) -> bool:
    """What TFMOT knows no quantization for, and what it could not copy by its configuration."""
    separable = type(layer) in (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
    if not (separable or Registry().supports(layer)):
        return True
    activation = getattr(layer, "activation", None)
    if activation is not None and not _is_known(activation):
        return True
    try:
        type(layer).from_config(layer.get_config())
    except (ValueError, TypeError, NotImplementedError):  # initializers or constraints of the user's own
        return True
    return False


def _is_known(activation: Callable[..., Any]) -> bool:
    """TFMOT goes by the name alone; a function of the user's own may bear one of Keras' names."""
    name = getattr(activation, "__name__", "")
    return name in ACTIVATIONS and (activation is keras.activations.get(name) or activation in SAME)


def initialize_ranges(model: keras.Model, images: np.ndarray, batch_size: int = 100) -> None:
    """Set every activation range to the extremes seen over `images`, float32 (N, H, W[, C]), in place.

    TFMOT starts moving averages at ±6 with decay 0.999, so a short fine-tuning would learn next to nothing of the
    true ranges: a ReLU's minimum stands at 6·0.999^108 = 5.385 below zero after 108 steps. While the images pass
    through, as for inference, moving averages are swapped for TFMOT's all-values observer.

    Raises:
        ModelError: a layer's values are not finite.
    """
    ranges = _activation_ranges(model, images[:1])
    for low, high in ranges:
        low.assign(0)
        high.assign(0)
    with _observing():
        for start in range(0, len(images), batch_size):
            model(images[start : start + batch_size], training=False)
    for low, high in ranges:
        if not np.isfinite([low.numpy(), high.numpy()]).all():
            raise ModelError(
                f"Network '{model.name}' cannot be trained quantization-aware: the values at '{_place(low)}' are not "
                "finite on calibration images."
            )
    widen(model, images)


def widen(model: keras.Model, images: np.ndarray) -> None:
    """Make ranges that are too narrow to be divided by 0..1, in place, and say so: their layer gives zeros only.

    Such is the range of a ReLU that died; a moving average comes ever closer to 0..0 after it did.
    """
    for low, high in _activation_ranges(model, images[:1]):
        if high.numpy() - low.numpy() < NARROW:
            print(
                f"'{_place(low)}' gives zeros only: its range {low.numpy():g}..{high.numpy():g} becomes 0..1.",
                file=sys.stderr,
            )
            low.assign(0)
            high.assign(1)


def _activation_ranges(model: keras.Model, images: np.ndarray) -> list[tuple[tf.Variable, tf.Variable]]:
    """Minimum and maximum of each range of activations, in the order in which they are used."""
    found = {}

    def record(_: object, inputs: tf.Tensor, training: object, weights: dict[str, tf.Variable]) -> tf.Tensor:
        found[id(weights["min_var"])] = (weights["min_var"], weights["max_var"])
        return inputs

    with _calls_replaced(dict.fromkeys(ACTIVATION_QUANTIZERS, record)):
        model(images, training=False)
    return list(found.values())


@contextmanager
def _observing() -> Iterator[None]:
    """Let ranges be taken from what passes through: activations' from all of it, weights' from the last."""
    read, observe = quantizers.LastValueQuantizer.__call__, quantizers.AllValuesQuantizer.__call__

    def observed(quantizer: object, inputs: tf.Tensor, training: object, weights: dict[str, tf.Variable]) -> tf.Tensor:
        return observe(quantizer, inputs, True, weights)

    def last(quantizer: object, inputs: tf.Tensor, training: object, weights: dict[str, tf.Variable]) -> tf.Tensor:
        return read(quantizer, inputs, True, weights)

    with _calls_replaced({**dict.fromkeys(ACTIVATION_QUANTIZERS, observed), quantizers.LastValueQuantizer: last}):
        yield


@contextmanager
def _calls_replaced(calls: Mapping[type, Callable[..., tf.Tensor]]) -> Iterator[None]:
    with ExitStack() as replaced:
        for kind, call in calls.items():
            replaced.enter_context(mock.patch.object(kind, "__call__", call))
        yield


def _place(variable: tf.Variable) -> str:
    return variable.name.rpartition("/")[0].removeprefix("quant_")
