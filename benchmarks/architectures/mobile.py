"""Networks made for phones: depthwise, grouped and cheap convolutions, squeeze-and-excitation."""

from collections.abc import Callable
from typing import Any

import tf_keras as keras
from tf_keras import layers

Tensor = Any


def mobilenet_v1(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Depthwise-separable convolutions and ReLU6 (arXiv:1704.04861)."""
    inputs = layers.Input(image_shape)
    hidden = _convolved(inputs, 16, 3, 2)
    for filters, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)):
        hidden = _depthwise(hidden, 3, stride)
        hidden = _convolved(hidden, filters, 1)
    return _classified(inputs, hidden, classes)


def mobilenet_v2(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Inverted residuals with linear bottlenecks (arXiv:1801.04381)."""
    inputs = layers.Input(image_shape)
    hidden = _convolved(inputs, 16, 3, 2)
    for filters, stride in ((16, 1), (24, 2), (24, 1), (32, 2), (32, 1)):
        expanded = _convolved(hidden, 4 * hidden.shape[-1], 1)
        expanded = _depthwise(expanded, 3, stride)
        narrow = _convolved(expanded, filters, 1, activation="linear")
        hidden = layers.Add()([hidden, narrow]) if narrow.shape == hidden.shape else narrow
    return _classified(inputs, _convolved(hidden, 128, 1), classes)


def mobilenet_v3(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Hard-swish, and squeeze-and-excitation with a hard sigmoid (arXiv:1905.02244)."""
    inputs = layers.Input(image_shape)
    hidden = _hard_swish(_convolved(inputs, 16, 3, 2, activation="linear"))
    for filters, size, stride, excited, hard in (
        (16, 3, 1, True, False),
        (24, 3, 2, False, False),
        (32, 5, 2, True, True),
        (32, 5, 1, True, True),
    ):
        act = _hard_swish if hard else layers.ReLU()
        expanded = act(_convolved(hidden, 3 * hidden.shape[-1], 1, activation="linear"))
        expanded = act(_depthwise(expanded, size, stride, activation="linear"))
        if excited:
            expanded = _excited(expanded, 4, "relu", _hard_sigmoid)
        narrow = _convolved(expanded, filters, 1, activation="linear")
        hidden = layers.Add()([hidden, narrow]) if narrow.shape == hidden.shape else narrow
    return _classified(inputs, _hard_swish(_convolved(hidden, 96, 1, activation="linear")), classes)


def efficientnet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Inverted residuals with swish, and squeeze-and-excitation with a sigmoid (arXiv:1905.11946)."""
    inputs = layers.Input(image_shape)
    hidden = _convolved(inputs, 16, 3, 2, activation="swish")
    for filters, size, stride in ((16, 3, 1), (24, 3, 2), (24, 3, 1), (40, 5, 2), (40, 5, 1)):
        expanded = _convolved(hidden, 4 * hidden.shape[-1], 1, activation="swish")
        expanded = _depthwise(expanded, size, stride, activation="swish")
        expanded = _excited(expanded, 8, "swish", layers.Activation("sigmoid"))
        narrow = _convolved(expanded, filters, 1, activation="linear")
        hidden = layers.Add()([hidden, narrow]) if narrow.shape == hidden.shape else narrow
    return _classified(inputs, _convolved(hidden, 96, 1, activation="swish"), classes)


def shufflenet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Grouped pointwise convolutions with shuffled channels (arXiv:1707.01083)."""
    groups = 4
    inputs = layers.Input(image_shape)
    hidden = _convolved(inputs, 32, 3, 2)
    for stride in (1, 2, 1, 2, 1):
        filters = hidden.shape[-1]
        branch = _convolved(hidden, filters, 1, groups=groups)
        branch = _shuffled(branch, groups)
        branch = _depthwise(branch, 3, stride, activation="linear")
        branch = _convolved(branch, filters, 1, groups=groups, activation="linear")
        if stride == 1:
            hidden = layers.ReLU()(layers.Add()([hidden, branch]))
        else:
            hidden = layers.ReLU()(layers.Concatenate()([layers.AveragePooling2D(3, 2, "same")(hidden), branch]))
    return _classified(inputs, hidden, classes)


def squeezenet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Fire modules, without batch normalization; a convolution gives the classes (arXiv:1602.07360)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv2D(32, 3, 2, padding="same", activation="relu")(inputs)
    for squeeze, expand in ((8, 32), (8, 32), (16, 64), (16, 64)):
        narrow = layers.Conv2D(squeeze, 1, activation="relu")(hidden)
        wide = [layers.Conv2D(expand, size, padding="same", activation="relu")(narrow) for size in (1, 3)]
        hidden = layers.Concatenate()(wide)
        if squeeze == 8:
            hidden = layers.MaxPooling2D(3, 2, "same")(hidden)
    hidden = layers.Conv2D(classes, 1)(hidden)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(hidden))


def ghostnet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Half of the channels made from the other half by a depthwise convolution (arXiv:1911.11907)."""
    inputs = layers.Input(image_shape)
    hidden = _convolved(inputs, 16, 3, 2)
    for filters, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        expanded = _ghost(hidden, 2 * filters, "relu")
        if stride == 2:
            expanded = _depthwise(expanded, 3, 2, activation="linear")
        narrow = _ghost(expanded, filters, "linear")
        hidden = layers.Add()([hidden, narrow]) if narrow.shape == hidden.shape else narrow
    return _classified(inputs, hidden, classes)


def _ghost(hidden: Tensor, filters: int, activation: str) -> Tensor:
    primary = _convolved(hidden, filters // 2, 1, activation=activation)
    return layers.Concatenate()([primary, _depthwise(primary, 3, 1, activation=activation)])


def _convolved(
    hidden: Tensor, filters: int, size: int, stride: int = 1, groups: int = 1, activation: str = "relu6"
) -> Tensor:
    hidden = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, groups=groups)(hidden)
    return _activated(hidden, activation)


def _depthwise(hidden: Tensor, size: int, stride: int, activation: str = "relu6") -> Tensor:
    return _activated(layers.DepthwiseConv2D(size, stride, padding="same", use_bias=False)(hidden), activation)


def _activated(hidden: Tensor, activation: str) -> Tensor:
    hidden = layers.BatchNormalization()(hidden)
    if activation == "relu6":
        return layers.ReLU(6.0)(hidden)
    return hidden if activation == "linear" else layers.Activation(activation)(hidden)


def _hard_sigmoid(hidden: Tensor) -> Tensor:
    """As Keras' own MobileNetV3 writes it."""
    return layers.ReLU(6.0)(hidden + 3.0) * (1.0 / 6.0)


def _hard_swish(hidden: Tensor) -> Tensor:
    return layers.Multiply()([hidden, _hard_sigmoid(hidden)])


def _excited(hidden: Tensor, ratio: int, squeeze: str, excite: Callable[[Tensor], Tensor]) -> Tensor:
    channels = hidden.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True)(hidden)
    weights = layers.Conv2D(max(1, channels // ratio), 1, activation=squeeze)(weights)
    return layers.Multiply()([hidden, excite(layers.Conv2D(channels, 1)(weights))])


def _shuffled(hidden: Tensor, groups: int) -> Tensor:
    height, width, channels = hidden.shape[1:]
    hidden = layers.Reshape((height, width, groups, channels // groups))(hidden)
    return layers.Reshape((height, width, channels))(layers.Permute((1, 2, 4, 3))(hidden))


def _classified(inputs: Tensor, hidden: Tensor, classes: int) -> keras.Model:
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(hidden)))
