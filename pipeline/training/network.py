"""Networks by name, or by `module:function` of the user's own.

A builder takes the shape of one image and the number of classes and returns a Keras model from float32
images (N, H, W) or (N, H, W, C) in 0..1 to logits (N, classes).
"""

import importlib
from collections.abc import Callable

import tf_keras as keras
from tf_keras import layers

from pipeline.errors import ParamsError

MOMENTUM = 0.9
"""Of batch normalization's moving statistics: Keras' 0.99 still remembers its start after one epoch of MNIST."""

Builder = Callable[[tuple[int, ...], int], keras.Model]


def build(name: str, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Build the network called `name`, with freshly drawn weights.

    Raises:
        ParamsError: no such builder, or what it returns does not fit the data.
    """
    keras.backend.clear_session()
    model = _builder(name)(image_shape, classes)
    if not isinstance(model, keras.Model):
        raise ParamsError(f"Network '{name}' built a {type(model).__name__}; allowed is a tf_keras model.")
    if tuple(model.input_shape[1:]) != image_shape or tuple(model.output_shape[1:]) != (classes,):
        raise ParamsError(
            f"Network '{name}' maps {model.input_shape} to {model.output_shape}; "
            f"the data need {(None, *image_shape)} to {(None, classes)}."
        )
    return model


def small_cnn(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """One 3x3 convolution of 12 channels: 20,410 parameters on 28x28 images of 10 classes."""
    return keras.Sequential(
        [
            *_with_channels(image_shape),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(classes),
        ]
    )


def cnn4(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Four convolutions and two dense layers."""
    return keras.Sequential(
        [
            *_with_channels(image_shape),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes),
        ]
    )


def depthwise_cnn(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Depthwise-separable blocks with batch normalization and ReLU6, after MobileNet (arXiv:1704.04861)."""
    inputs = layers.Input(image_shape)
    hidden = _channels_last(inputs, image_shape)
    hidden = _normalized(layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(hidden), relu6=True)
    for filters, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        hidden = _normalized(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(hidden), relu6=True)
        hidden = _normalized(layers.Conv2D(filters, 1, use_bias=False)(hidden), relu6=True)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def resnet8(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Eight layers with residual connections, after ResNet (arXiv:1512.03385) as MLPerf Tiny has it."""
    inputs = layers.Input(image_shape)
    hidden = _channels_last(inputs, image_shape)
    hidden = _normalized(layers.Conv2D(16, 3, padding="same")(hidden))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        shortcut = hidden if stride == 1 else layers.Conv2D(filters, 1, stride, padding="same")(hidden)
        hidden = _normalized(layers.Conv2D(filters, 3, stride, padding="same")(hidden))
        hidden = layers.BatchNormalization(momentum=MOMENTUM)(layers.Conv2D(filters, 3, padding="same")(hidden))
        hidden = layers.ReLU()(layers.Add()([shortcut, hidden]))
    hidden = layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


BUILDERS: dict[str, Builder] = {builder.__name__: builder for builder in (small_cnn, cnn4, depthwise_cnn, resnet8)}


def _builder(name: str) -> Builder:
    if name in BUILDERS:
        return BUILDERS[name]
    module, separator, function = name.partition(":")
    if not separator:
        raise ParamsError(f"Unknown network '{name}'. Known: {', '.join(BUILDERS)}, or module:function of your own.")
    try:
        builder: Builder = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ParamsError(
            f"Network '{name}' cannot be imported: {error}. Give module:function, importable here."
        ) from None
    return builder


def _with_channels(image_shape: tuple[int, ...]) -> list[layers.Layer]:
    reshape = [layers.Reshape((*image_shape, 1))] if len(image_shape) == 2 else []
    return [layers.Input(image_shape), *reshape]


def _channels_last(inputs: object, image_shape: tuple[int, ...]) -> object:
    return layers.Reshape((*image_shape, 1))(inputs) if len(image_shape) == 2 else inputs


def _normalized(hidden: object, relu6: bool = False) -> object:
    return layers.ReLU(6.0 if relu6 else None)(layers.BatchNormalization(momentum=MOMENTUM)(hidden))
