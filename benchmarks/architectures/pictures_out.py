"""Networks whose outputs are pictures: `classes` is how many values come out, in one row."""

import math
from typing import Any

import tf_keras as keras
from tf_keras import layers

Tensor = Any


def unet_upsampling(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Down, and up again by repeating pixels, with skips (arXiv:1505.04597)."""
    inputs, levels, hidden = _down(image_shape)
    for filters, level in zip((24, 16), reversed(levels), strict=True):
        hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(layers.UpSampling2D(2)(hidden))
        hidden = _block(layers.Concatenate()([level, hidden]), filters)
    return _flat(inputs, hidden, classes)


def unet_bilinear(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """The same, upsampled bilinearly, its skips added."""
    inputs, levels, hidden = _down(image_shape)
    for filters, level in zip((24, 16), reversed(levels), strict=True):
        hidden = layers.Conv2D(filters, 1, activation="relu")(layers.UpSampling2D(2, interpolation="bilinear")(hidden))
        hidden = _block(layers.Add()([level, hidden]), filters)
    return _flat(inputs, hidden, classes)


def unet_transposed(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """The same, upsampled by transposed convolutions."""
    inputs, levels, hidden = _down(image_shape)
    for filters, level in zip((24, 16), reversed(levels), strict=True):
        hidden = layers.Conv2DTranspose(filters, 2, 2)(hidden)
        hidden = _block(layers.Concatenate()([level, hidden]), filters)
    return _flat(inputs, hidden, classes)


def conv_autoencoder(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolutions down, transposed convolutions up."""
    inputs = hidden = layers.Input(image_shape)
    for filters in (16, 32):
        hidden = layers.Conv2D(filters, 3, 2, padding="same", activation="relu")(hidden)
    for filters in (32, 16):
        hidden = layers.Conv2DTranspose(filters, 3, 2, padding="same", activation="relu")(hidden)
    return _flat(inputs, hidden, classes)


def super_resolution(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Channels become pixels, after ESPCN (arXiv:1609.05158)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv2D(24, 5, padding="same", activation="tanh")(inputs)
    hidden = layers.Conv2D(16, 3, padding="same", activation="relu")(hidden)
    hidden = layers.Conv2D(4, 3, padding="same")(hidden)
    height, width = hidden.shape[1:3]
    hidden = layers.Reshape((height, width, 2, 2))(hidden)
    return keras.Model(inputs, layers.Reshape((classes,))(layers.Permute((1, 3, 2, 4))(hidden)))


def _down(image_shape: tuple[int, ...]) -> tuple[Tensor, list[Tensor], Tensor]:
    inputs = hidden = layers.Input(image_shape)
    levels = []
    for filters in (16, 24):
        hidden = _block(hidden, filters)
        levels.append(hidden)
        hidden = layers.MaxPooling2D(2)(hidden)
    return inputs, levels, _block(hidden, 32)


def _block(hidden: Tensor, filters: int) -> Tensor:
    hidden = layers.Conv2D(filters, 3, padding="same", use_bias=False)(hidden)
    return layers.ReLU()(layers.BatchNormalization()(hidden))


def _flat(inputs: Tensor, hidden: Tensor, classes: int) -> keras.Model:
    channels = classes // math.prod(hidden.shape[1:3])
    return keras.Model(inputs, layers.Reshape((classes,))(layers.Conv2D(channels, 1)(hidden)))
