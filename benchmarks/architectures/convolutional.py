"""Convolutional networks for images: plain, residual, dense and branching ones."""

from typing import Any

import tf_keras as keras
from tf_keras import layers

Tensor = Any


def vgg(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Pairs of 3x3 convolutions with biases, and dense layers (arXiv:1409.1556)."""
    inputs = hidden = layers.Input(image_shape)
    for filters in (16, 32, 48):
        for _ in range(2):
            hidden = layers.Conv2D(filters, 3, padding="same", activation="relu")(hidden)
        hidden = layers.MaxPooling2D(2)(hidden)
    hidden = layers.Dense(96, activation="relu")(layers.Flatten()(hidden))
    hidden = layers.Dense(96, activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def lenet5(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Average pooling and tanh (LeCun et al., Gradient-based learning applied to document recognition, 1998)."""
    inputs = layers.Input(image_shape)
    hidden = layers.AveragePooling2D(2)(layers.Conv2D(6, 5, activation="tanh")(inputs))
    hidden = layers.AveragePooling2D(2)(layers.Conv2D(16, 5, activation="tanh")(hidden))
    hidden = layers.Dense(120, activation="tanh")(layers.Flatten()(hidden))
    return keras.Model(inputs, layers.Dense(classes)(layers.Dense(84, activation="tanh")(hidden)))


def resnet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Residual blocks with projections (arXiv:1512.03385)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(_normalized(layers.Conv2D(16, 3, padding="same")(inputs)))
    for filters, stride in ((16, 1), (32, 2), (48, 2)):
        shortcut = hidden
        if stride == 2:
            shortcut = _normalized(layers.Conv2D(filters, 1, stride, padding="same")(hidden))
        branch = layers.ReLU()(_normalized(layers.Conv2D(filters, 3, stride, padding="same")(hidden)))
        branch = _normalized(layers.Conv2D(filters, 3, padding="same")(branch))
        hidden = layers.ReLU()(layers.Add()([shortcut, branch]))
    return _classified(inputs, hidden, classes)


def preactivation_resnet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Batch normalization before the convolution, where no layer can take it up (arXiv:1603.05027)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    for filters, stride in ((16, 1), (32, 2), (48, 2)):
        active = layers.ReLU()(_normalized(hidden))
        shortcut = hidden if stride == 1 else layers.Conv2D(filters, 1, stride, use_bias=False)(active)
        branch = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(active)
        branch = layers.Conv2D(filters, 3, padding="same")(layers.ReLU()(_normalized(branch)))
        hidden = layers.Add()([shortcut, branch])
    return _classified(inputs, layers.ReLU()(_normalized(hidden)), classes)


def densenet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Every layer reads all before it (arXiv:1608.06993)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(inputs)
    for block in range(2):
        for _ in range(3):
            branch = layers.Conv2D(32, 1, use_bias=False)(layers.ReLU()(_normalized(hidden)))
            branch = layers.Conv2D(8, 3, padding="same", use_bias=False)(layers.ReLU()(_normalized(branch)))
            hidden = layers.Concatenate()([hidden, branch])
        if block == 0:
            hidden = layers.Conv2D(20, 1, use_bias=False)(layers.ReLU()(_normalized(hidden)))
            hidden = layers.AveragePooling2D(2)(hidden)
    return _classified(inputs, layers.ReLU()(_normalized(hidden)), classes)


def inception(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Branches of several sizes, concatenated (arXiv:1409.4842)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(_normalized(layers.Conv2D(16, 3, 2, padding="same")(inputs)))
    for filters in (8, 16):
        branches = [_branch(hidden, filters, 1)]
        branches += [_branch(_branch(hidden, filters, 1), filters, size) for size in (3, 5)]
        branches.append(_branch(layers.MaxPooling2D(3, 1, "same")(hidden), filters, 1))
        hidden = layers.MaxPooling2D(3, 2, "same")(layers.Concatenate()(branches))
    return _classified(inputs, hidden, classes)


def xception(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Separable convolutions in residual blocks (arXiv:1610.02357)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(_normalized(layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(inputs)))
    for filters in (32, 64):
        shortcut = _normalized(layers.Conv2D(filters, 1, 2, padding="same", use_bias=False)(hidden))
        branch = _normalized(layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(hidden))
        branch = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(layers.ReLU()(branch))
        branch = layers.MaxPooling2D(3, 2, "same")(_normalized(branch))
        hidden = layers.Add()([branch, shortcut])
    hidden = layers.ReLU()(_normalized(layers.SeparableConv2D(96, 3, padding="same")(hidden)))
    return _classified(inputs, hidden, classes)


def darknet(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Leaky ReLUs, and padding of its own before strided convolutions (arXiv:1804.02767)."""
    inputs = layers.Input(image_shape)
    hidden = layers.LeakyReLU(0.1)(_normalized(layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)))
    for filters in (24, 48):
        hidden = layers.Conv2D(filters, 3, 2, use_bias=False)(layers.ZeroPadding2D(((1, 0), (1, 0)))(hidden))
        hidden = layers.LeakyReLU(0.1)(_normalized(hidden))
        branch = layers.LeakyReLU(0.1)(_normalized(layers.Conv2D(filters // 2, 1, use_bias=False)(hidden)))
        branch = layers.Conv2D(filters, 3, padding="same", use_bias=False)(branch)
        hidden = layers.Add()([hidden, layers.LeakyReLU(0.1)(_normalized(branch))])
    return _classified(inputs, hidden, classes)


def repvgg(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Three branches added, one of them batch normalization alone (arXiv:2101.03697)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(_normalized(layers.Conv2D(16, 3, 2, padding="same", use_bias=False)(inputs)))
    for filters, stride in ((16, 1), (32, 2), (32, 1), (48, 2)):
        branches = [
            _normalized(layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(hidden)) for size in (3, 1)
        ]
        if stride == 1:
            branches.append(_normalized(hidden))
        hidden = layers.ReLU()(layers.Add()(branches))
    return _classified(inputs, hidden, classes)


def prelu_net(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Learned slopes, ELU and SELU (arXiv:1502.01852, arXiv:1511.07289, arXiv:1706.02515)."""
    inputs = layers.Input(image_shape)
    hidden = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(16, 3, 2, padding="same")(inputs))
    hidden = layers.ELU()(layers.Conv2D(32, 3, 2, padding="same")(hidden))
    hidden = layers.Conv2D(32, 3, padding="same", activation="selu")(hidden)
    hidden = layers.PReLU()(layers.Dense(64)(layers.Flatten()(hidden)))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def volumes(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolutions over three dimensions, after C3D (arXiv:1412.0767)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(_normalized(layers.Conv3D(8, 3, padding="same", use_bias=False)(inputs)))
    hidden = layers.MaxPooling3D((1, 2, 2))(hidden)
    hidden = layers.Conv3D(16, 3, 2, padding="same", activation="relu")(hidden)
    hidden = layers.Conv3D(32, 3, 2, padding="same", activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling3D()(hidden)))


def _branch(hidden: Tensor, filters: int, size: int) -> Tensor:
    return layers.ReLU()(_normalized(layers.Conv2D(filters, size, padding="same", use_bias=False)(hidden)))


def _normalized(hidden: Tensor) -> Tensor:
    return layers.BatchNormalization()(hidden)


def _classified(inputs: Tensor, hidden: Tensor, classes: int) -> keras.Model:
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(hidden)))
