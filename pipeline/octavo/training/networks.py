"""Octavo's networks by name, and the user's own networks by `module:function`.

A builder takes the shape of one image and the number of classes. It returns a Keras model from float32 images,
(N, H, W) or (N, H, W, C) in 0..1, to logits (N, classes). A final softmax or sigmoid is removed.
"""

from collections.abc import Callable

import tf_keras as keras
from tf_keras import layers

from octavo.project import foreign_code
from octavo.project.errors import ParamsError
from octavo.training import ending, fitness
from octavo.training.fitting import library

MOMENTUM = 0.9
"""Of batch normalization's moving statistics. With Keras' default 0.99, the initial values still matter after one epoch
of MNIST."""

IMAGES = (2, 3)
"""Numbers of dimensions of one image, for Octavo's own networks."""
Builder = Callable[[tuple[int, ...], int], keras.Model]
"""Shape of one image, number of classes -> network."""


def build(name: str, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Build the network called `name`, from images to logits, with new random weights.

    Args:
        name: a known name, or `module:function`.
        image_shape: (H, W) or (H, W, C).
        classes: number of classes.

    Raises:
        ParamsError: there is no such builder, it fails, or its result does not fit the data. If the builder fails, the
            message has its file and line.
    """
    return build_as_written(name, image_shape, classes)[0]


def build_as_written(name: str, image_shape: tuple[int, ...], classes: int) -> tuple[keras.Model, str | None]:
    """As `build`, but also return which final activation was removed.

    Args:
        name: as for `build`.
        image_shape: as for `build`.
        classes: as for `build`.

    Returns:
        The network, and `softmax` or `sigmoid`, or None if the network as written ends in neither.

    Raises:
        ParamsError: as `build`.
    """
    model = untrained(name, image_shape, classes)
    what = _what(name, image_shape, classes)
    with foreign_code.code(what):
        outputs = fitness.run(model, image_shape)
    fitness.admit_weights(model, name)
    fitness.admit_ends(model, name, image_shape, classes)
    model, squashing = ending.take_off(model)
    with foreign_code.code(what):
        outputs = fitness.run(model, image_shape) if squashing else outputs
    fitness.admit_outputs(outputs, name, classes)
    return model, squashing


def untrained(name: str, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """What the builder called `name` returns: any model of tf_keras or Keras 3, unchanged.

    Args:
        name: as for `build`.
        image_shape: as for `build`.
        classes: as for `build`.

    Raises:
        ParamsError: there is no such builder, it is not for examples of this shape, it fails, or its result is no
            model of tf_keras or Keras 3.
    """
    library.clear_session()
    builder = _builder(name)
    if name in BUILDERS and len(image_shape) not in IMAGES:
        raise ParamsError(
            f"Network '{name}' is for images (H, W) or (H, W, C), and examples have shape {image_shape}. Build one of "
            "your own: build: module:function."
        )
    with foreign_code.code(_what(name, image_shape, classes)):
        model = builder(image_shape, classes)
    fitness.admit_kind(model, name)
    return model


def _what(name: str, image_shape: tuple[int, ...], classes: int) -> str:
    return f"Network '{name}' cannot be built for images {image_shape} and {classes} classes"


def small_cnn(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """One 3x3 convolution with 12 channels: 20,410 parameters for 28x28 images and 10 classes."""
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
    """Depthwise-separable blocks with batch normalization and ReLU6, based on MobileNet (arXiv:1704.04861)."""
    inputs = layers.Input(image_shape)
    hidden = _channels_last(inputs, image_shape)
    hidden = _normalized(layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(hidden), relu6=True)
    for filters, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        hidden = _normalized(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(hidden), relu6=True)
        hidden = _normalized(layers.Conv2D(filters, 1, use_bias=False)(hidden), relu6=True)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def resnet8(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Eight layers with residual connections, based on ResNet (arXiv:1512.03385) as used in MLPerf Tiny."""
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
    if ":" not in name:
        raise ParamsError(f"Unknown network '{name}'. Known: {', '.join(BUILDERS)}, or module:function of your own.")
    takes = "the shape of one image and the number of classes"
    return foreign_code.function(name, f"Network '{name}'", ((), 0), takes)


def _with_channels(image_shape: tuple[int, ...]) -> list[layers.Layer]:
    reshape = [layers.Reshape((*image_shape, 1))] if len(image_shape) == 2 else []
    return [layers.Input(image_shape), *reshape]


def _channels_last(inputs: object, image_shape: tuple[int, ...]) -> object:
    return layers.Reshape((*image_shape, 1))(inputs) if len(image_shape) == 2 else inputs


def _normalized(hidden: object, relu6: bool = False) -> object:
    return layers.ReLU(6.0 if relu6 else None)(layers.BatchNormalization(momentum=MOMENTUM)(hidden))
