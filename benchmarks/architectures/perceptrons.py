"""Networks of dense layers."""

import tf_keras as keras
from tf_keras import layers


def mlp_batchnorm(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Batch normalization between dense layer and ReLU."""
    inputs = layers.Input(image_shape)
    hidden = layers.Flatten()(inputs)
    for _ in range(3):
        hidden = layers.ReLU()(layers.BatchNormalization()(layers.Dense(128)(hidden)))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def mlp_tanh(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    inputs = layers.Input(image_shape)
    hidden = layers.Dense(128, activation="tanh")(layers.Flatten()(inputs))
    return keras.Model(inputs, layers.Dense(classes)(layers.Dense(128, activation="tanh")(hidden)))


def mlp_smooth(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """One dense layer each before sigmoid, ELU, softplus and softmax."""
    inputs = layers.Input(image_shape)
    hidden = layers.Flatten()(inputs)
    for activation in ("sigmoid", "elu", "softplus", "softmax"):
        hidden = layers.Dense(96, activation=activation)(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def mlp_plain(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """ReLUs and nothing else: layers of one width."""
    inputs = layers.Input(image_shape)
    hidden = layers.Flatten()(inputs)
    for _ in range(3):
        hidden = layers.Dense(96, activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def highway(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Gates choose between a layer and its input (arXiv:1505.00387)."""
    inputs = layers.Input(image_shape)
    hidden = layers.Dense(96, activation="relu")(layers.Flatten()(inputs))
    for _ in range(2):
        gate, changed = layers.Dense(96, activation="sigmoid")(hidden), layers.Dense(96, activation="relu")(hidden)
        kept = layers.Multiply()([hidden, 1.0 - gate])
        hidden = layers.Add()([layers.Multiply()([gate, changed]), kept])
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def tied(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """One dense layer and one convolution used three times each."""
    inputs = layers.Input(image_shape)
    hidden = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(inputs)
    convolution = layers.Conv2D(16, 3, padding="same", activation="relu")
    for _ in range(3):
        hidden = convolution(hidden)
    hidden = layers.Dense(64, activation="relu")(layers.Flatten()(layers.MaxPooling2D(2)(hidden)))
    dense = layers.Dense(64, activation="relu")
    for _ in range(3):
        hidden = dense(hidden)
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def autoencoder(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Dense layers through a narrow middle, after MLPerf Tiny's anomaly detection; `classes` pixels come out."""
    inputs = layers.Input(image_shape)
    hidden = layers.Flatten()(inputs)
    for width in (128, 128, 8, 128, 128):
        hidden = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(hidden)))
    return keras.Model(inputs, layers.Dense(classes)(hidden))
