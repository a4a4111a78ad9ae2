"""Small networks of one layer or function each that converters or TFMOT take for a special case."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

IMAGE, SERIES = (8, 8, 1), (12, 4)
Builder = Callable[[], keras.Model]


class Doubling(layers.Layer):
    """A layer of the user's own, which no copy by configuration knows."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * 2


def sequence(*more: layers.Layer, shape: tuple[int, ...] = IMAGE) -> Builder:
    """A network of these layers, which ends in ten scores."""
    return lambda: keras.Sequential([layers.Input(shape), *more, layers.Flatten(), layers.Dense(10)])


def graph(body: Callable[[object], object]) -> Builder:
    """A network that does `body` with the output of a convolution of four channels."""

    def build() -> keras.Model:
        image = layers.Input(IMAGE)
        hidden = body(layers.Conv2D(4, 3, name="first")(image))
        return keras.Model(image, layers.Dense(10, name="last")(layers.Flatten()(hidden)))

    return build


def hard_swish(x: object) -> object:
    return x * layers.ReLU(6.0)(x + 3.0) / 6.0  # type: ignore[operator]


def block(name: str) -> keras.Model:
    """A model to be used as a layer."""
    inner = [layers.Conv2D(4, 3, padding="same", name=f"{name}_conv"), layers.BatchNormalization(name=f"{name}_norm")]
    return keras.Sequential([layers.Input((6, 6, 4)), *inner, layers.ReLU(name=f"{name}_relu")], name=name)


def two_uses(x: object) -> object:
    shared = layers.Conv2D(4, 3, padding="same", activation="relu", name="shared")
    return shared(shared(x))


def dead(channels: int = 4) -> Builder:
    """A branch whose ReLU gives zeros for any image."""

    def body(x: object) -> object:
        bias = keras.initializers.Constant(-50.0)
        died = layers.Conv2D(channels, 3, padding="same", activation="relu", bias_initializer=bias, name="died")(x)
        return layers.Conv2D(4, 3, name="after")(layers.Concatenate()([x, died]))

    return graph(body)


def empty_channels() -> keras.Model:
    """Channels without weights whose bias is all they give."""
    model = graph(layers.Conv2D(4, 3, name="second"))()
    kernel, _ = model.get_layer("second").get_weights()
    kernel[..., :2] = 0
    model.get_layer("second").set_weights([kernel, np.array([-2.0, 3.0, 0.5, -0.5])])
    return model
