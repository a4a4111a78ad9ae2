"""Networks for signals and sequences."""

from typing import Any

import tf_keras as keras
from tf_keras import layers

Tensor = Any


def ds_cnn(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Keyword spotting by depthwise-separable convolutions over a spectrogram (arXiv:1711.07128)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv2D(32, (10, 4), 2, padding="same", use_bias=False)(inputs)
    hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    for _ in range(3):
        hidden = layers.DepthwiseConv2D(3, padding="same")(hidden)
        hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
        hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 1)(hidden)))
    hidden = layers.AveragePooling2D(hidden.shape[1:3])(hidden)
    return keras.Model(inputs, layers.Dense(classes)(layers.Flatten()(hidden)))


def conv1d(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolutions along time."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(16, 7, padding="same")(inputs)))
    hidden = layers.MaxPooling1D(2)(hidden)
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(32, 5, 2, padding="same")(hidden)))
    hidden = layers.Conv1D(48, 3, activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling1D()(hidden)))


def tcn(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Dilated causal convolutions in residual blocks (arXiv:1803.01271)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv1D(24, 1)(inputs)
    for dilation in (1, 2, 4, 8):
        branch = layers.Conv1D(24, 3, padding="causal", dilation_rate=dilation, activation="relu")(hidden)
        branch = layers.Conv1D(24, 3, padding="causal", dilation_rate=dilation, activation="relu")(branch)
        hidden = layers.ReLU()(layers.Add()([hidden, branch]))
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalMaxPooling1D()(hidden)))


def dilated(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Dilated convolutions over an image at several rates, after DeepLab (arXiv:1706.05587)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, 2, padding="same")(inputs)))
    branches = [layers.Conv2D(16, 1, activation="relu")(hidden)]
    branches += [layers.Conv2D(16, 3, padding="same", dilation_rate=rate, activation="relu")(hidden) for rate in (2, 4)]
    hidden = layers.Conv2D(32, 1, activation="relu")(layers.Concatenate()(branches))
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(hidden)))


def gru(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """A gated recurrent unit (arXiv:1406.1078)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Dense(64, activation="relu")(layers.GRU(48)(inputs))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def lstm(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Two layers of long short-term memory."""
    inputs = layers.Input(image_shape)
    hidden = layers.LSTM(32)(layers.LSTM(32, return_sequences=True)(inputs))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def conv_lstm(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolutions along time, then long short-term memory both ways."""
    inputs = layers.Input(image_shape)
    hidden = layers.MaxPooling1D(2)(layers.Conv1D(32, 5, padding="same", activation="relu")(inputs))
    hidden = layers.Bidirectional(layers.LSTM(24))(hidden)
    return keras.Model(inputs, layers.Dense(classes)(layers.Dense(48, activation="relu")(hidden)))
