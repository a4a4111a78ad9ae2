"""Quantization-aware training: fake quantization for every layer that TFMOT supports. Other layers stay in float."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_configs as configs,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_registry as registry,
)
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_scheme as scheme,
)

from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.training.quantization_aware.floating import Float, lay_out
from octavo.training.quantization_aware.ranges import initialize_ranges, widen

__all__ = ["annotate", "float_layers", "in_float", "initialize_ranges", "widen"]

ACTIVATIONS = ("linear", "relu", "sigmoid", "softmax", "tanh", "swish", "gelu")
"""Names of the Keras activations that TFMOT supports."""
SAME = (tf.nn.relu, tf.nn.sigmoid, tf.nn.softmax, tf.nn.tanh, tf.nn.swish, tf.nn.gelu)
"""TensorFlow's functions that are the same as the Keras activations with the same names."""


class AloneConfig(configs.Default8BitOutputQuantizeConfig):
    """For a batch normalization that cannot be folded into a preceding layer: float, with a quantized output."""


class QuantizableLayers(registry.Default8BitQuantizeRegistry):
    """TFMOT's registry, extended: TFMOT refuses a network with such a batch normalization."""

    def supports(self, layer: keras.layers.Layer) -> bool:
        return super().supports(layer) or type(layer) is keras.layers.BatchNormalization

    def get_quantize_config(self, layer: keras.layers.Layer) -> object:
        alone = type(layer) is keras.layers.BatchNormalization
        return AloneConfig() if alone else super().get_quantize_config(layer)


class Scheme(scheme.Default8BitQuantizeScheme):
    def get_quantize_registry(self) -> QuantizableLayers:
        return QuantizableLayers()


def annotate(model: keras.Model) -> keras.Model:
    """Add fake quantization (8 bits, convolution weights per channel) to all layers of `model` that TFMOT supports.

    `float_layers` lists the layers that stay in float. They are shared, so `model` itself must not be used any more.

    Raises:
        ModelError: the model is subclassed, or TFMOT can quantize nothing in it.
    """
    what = f"Network '{model.name}' cannot be trained quantization-aware"
    if not model.outputs:
        raise ModelError(f"{what}: TFMOT takes Sequential and functional models, and this one is subclassed.")
    with foreign_code.code(what, ModelError):
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


def in_float(layers: Sequence[str]) -> str:
    """The note that names the `layers` that stay in float."""
    return f"TFMOT cannot quantize these layers, so QAT keeps them in float: {', '.join(layers)}."


def _annotated(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer if isinstance(layer, Float) else tfmot.quantization.keras.quantize_annotate_layer(layer)


def _has_weights(layer: keras.layers.Layer) -> bool:
    """Whether it has weights, other than those of a batch normalization, which belong to no matrix."""
    inner = getattr(layer, "layer", None)
    return inner is not None and bool(inner.weights) and not isinstance(inner, keras.layers.BatchNormalization)


def _stays_float(layer: keras.layers.Layer) -> bool:
    """Whether TFMOT cannot quantize the layer, or cannot copy it through its configuration."""
    separable = type(layer) in (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
    if not (separable or QuantizableLayers().supports(layer)):
        return True
    activation = getattr(layer, "activation", None)
    if activation is not None and not _is_known(activation):
        return True
    try:
        type(layer).from_config(layer.get_config())
    except (ValueError, TypeError, NotImplementedError):  # the user's own initializers or constraints
        return True
    return False


def _is_known(activation: Callable[..., Any]) -> bool:
    """Whether TFMOT supports the activation. TFMOT checks only its name, which a user's own function may have too."""
    name = getattr(activation, "__name__", "")
    return name in ACTIVATIONS and (activation is keras.activations.get(name) or activation in SAME)
