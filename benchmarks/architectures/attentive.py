"""Networks of the attention era: layer normalization, GELU, attention, mixing by dense layers."""

from typing import Any

import tf_keras as keras
from tf_keras import layers

Tensor = Any
EPSILON = 1e-6


def convnext(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Large depthwise convolutions, layer normalization and GELU (arXiv:2201.03545)."""
    inputs = layers.Input(image_shape)
    hidden = layers.LayerNormalization(epsilon=EPSILON)(layers.Conv2D(24, 4, 4)(inputs))
    for filters in (24, 48):
        if filters != hidden.shape[-1]:
            hidden = layers.Conv2D(filters, 2, 2)(layers.LayerNormalization(epsilon=EPSILON)(hidden))
        for _ in range(2):
            branch = layers.DepthwiseConv2D(7, padding="same")(hidden)
            branch = layers.LayerNormalization(epsilon=EPSILON)(branch)
            branch = layers.Dense(filters)(layers.Dense(4 * filters, activation="gelu")(branch))
            hidden = layers.Add()([hidden, branch])
    hidden = layers.LayerNormalization(epsilon=EPSILON)(layers.GlobalAveragePooling2D()(hidden))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def transformer(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Self-attention over patches of an image (arXiv:2010.11929)."""
    inputs = layers.Input(image_shape)
    hidden = _patches(inputs, 8, 32)
    for _ in range(2):
        normal = layers.LayerNormalization(epsilon=EPSILON)(hidden)
        hidden = layers.Add()([hidden, layers.MultiHeadAttention(4, 8)(normal, normal)])
        branch = layers.Dense(64, activation="gelu")(layers.LayerNormalization(epsilon=EPSILON)(hidden))
        hidden = layers.Add()([hidden, layers.Dense(32)(branch)])
    hidden = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=EPSILON)(hidden))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def mixer(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Dense layers over patches and over channels in turn (arXiv:2105.01601)."""
    inputs = layers.Input(image_shape)
    hidden = _patches(inputs, 8, 32)
    patches = hidden.shape[1]
    for _ in range(2):
        branch = layers.Permute((2, 1))(layers.LayerNormalization(epsilon=EPSILON)(hidden))
        branch = layers.Dense(patches)(layers.Dense(32, activation="gelu")(branch))
        hidden = layers.Add()([hidden, layers.Permute((2, 1))(branch)])
        branch = layers.Dense(64, activation="gelu")(layers.LayerNormalization(epsilon=EPSILON)(hidden))
        hidden = layers.Add()([hidden, layers.Dense(32)(branch)])
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling1D()(hidden)))


def residual_mlp(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Dense residual blocks (arXiv:2105.03404), each scaled per feature."""
    inputs = layers.Input(image_shape)
    hidden = layers.Dense(64)(layers.Flatten()(inputs))
    for _ in range(3):
        branch = layers.Dense(128, activation="relu")(layers.BatchNormalization()(hidden))
        hidden = layers.Add()([hidden, layers.Dense(64)(branch)])
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def swish_net(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """A plain network with swish (arXiv:1710.05941)."""
    inputs = hidden = layers.Input(image_shape)
    for filters, stride in ((16, 2), (32, 2), (48, 2)):
        hidden = layers.Conv2D(filters, 3, stride, padding="same", activation="swish")(hidden)
    hidden = layers.Dense(64, activation="swish")(layers.Flatten()(hidden))
    return keras.Model(inputs, layers.Dense(classes)(hidden))


def gated_attention(image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Convolutions whose channels and places are weighted by gates, after CBAM (arXiv:1807.06521)."""
    inputs = layers.Input(image_shape)
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(24, 3, 2, padding="same")(inputs)))
    squeeze, excite = layers.Dense(6, activation="relu"), layers.Dense(24)
    pooled = [excite(squeeze(pool()(hidden))) for pool in (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)]
    weights = layers.Reshape((1, 1, 24))(layers.Activation("sigmoid")(layers.Add()(pooled)))
    hidden = layers.Multiply()([hidden, weights])
    places = layers.Conv2D(1, 5, padding="same", activation="sigmoid")(hidden)
    hidden = layers.Multiply()([hidden, places])
    hidden = layers.Conv2D(48, 3, 2, padding="same", activation="relu")(hidden)
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(hidden)))


def _patches(inputs: Tensor, size: int, width: int) -> Tensor:
    hidden = layers.Conv2D(width, size, size)(inputs)
    return layers.Reshape((hidden.shape[1] * hidden.shape[2], width))(hidden)
