"""The team's own network for the door."""

import tf_keras
from tf_keras import layers


def build(image_shape: tuple[int, ...], classes: int) -> tf_keras.Model:
    """From frames (N, H, W) to logits (N, classes)."""
    return tf_keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Reshape((*image_shape, 1)),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(classes),
        ]
    )
