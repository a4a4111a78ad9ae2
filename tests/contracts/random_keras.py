"""Random Keras networks as users bring them, for the LiteRT recipes and for quantization-aware training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tf_keras as keras
from hypothesis import strategies as st
from tf_keras import layers

IMAGES = ((8, 8), (9, 7, 2), (16, 3), (12,))


@dataclass(frozen=True)
class KerasLayer:
    """One layer; each kind reads the attributes that mean something to it."""

    kind: str
    width: int = 8
    kernel: int = 3
    stride: int = 1
    padding: str = "same"
    normalized: bool = False
    activation: str = "relu"
    channel: str = "alive"
    """`dead` (no weights), `near_dead` (weights of 1e-9, a bias of 2) or as it comes."""


@dataclass(frozen=True)
class KerasPlan:
    image: tuple[int, ...] = (8, 8)
    layers: tuple[KerasLayer, ...] = ()
    end: str = "logits"
    classes: int = 10
    seed: int = 0


def plans() -> st.SearchStrategy[KerasPlan]:
    drawn = st.builds(
        KerasLayer,
        kind=st.sampled_from(sorted(KINDS)),
        width=st.sampled_from([8, 4, 6]),
        kernel=st.sampled_from([3, 1, 2]),
        stride=st.sampled_from([1, 1, 2]),
        padding=st.sampled_from(["same", "valid"]),
        normalized=st.booleans(),
        activation=st.sampled_from(ACTIVATIONS),
        channel=st.sampled_from(["alive", "alive", "dead", "near_dead"]),
    )
    return st.builds(
        KerasPlan,
        image=st.sampled_from(IMAGES),
        layers=st.lists(drawn, min_size=1, max_size=4).map(tuple),
        end=st.sampled_from(["logits", "pooled", "heads", "tanh", "normalized"]),
        classes=st.sampled_from([10, 2, 3]),
        seed=st.integers(0, 999),
    )


def build(plan: KerasPlan, images: np.ndarray) -> keras.Model:
    """The plan's network, its weights drawn and its batch normalizations fitted to float32 `images`."""
    keras.backend.clear_session()
    inputs = layers.Input(plan.image)
    value = layers.Reshape((*plan.image, 1))(inputs) if plan.image == (8, 8) else inputs
    for layer in plan.layers:
        value = KINDS[layer.kind](value, layer)
    row = layers.Flatten()(value)
    if plan.end == "pooled" and value.shape.rank == 4:
        row = layers.GlobalAveragePooling2D()(value)
    logits = layers.Dense(plan.classes, "tanh" if plan.end == "tanh" else None)(row)
    if plan.end == "heads":
        logits = layers.Add()([logits, layers.Dense(plan.classes)(row)])
    if plan.end == "normalized":
        logits = layers.BatchNormalization()(logits)
    model = keras.Model(inputs, logits)
    _give_weights(model, plan, images)
    return model


def _give_weights(model: keras.Model, plan: KerasPlan, images: np.ndarray) -> None:
    rng = np.random.default_rng(plan.seed)
    channels = iter([layer.channel for layer in plan.layers])
    for layer in [layer for layer in model.layers if layer.weights]:
        if isinstance(layer, layers.BatchNormalization):
            seen = keras.Model(model.input, layer.input)(images).numpy()
            axes = tuple(range(seen.ndim - 1))
            gamma, beta = np.exp(rng.normal(0, 0.3, seen.shape[-1])), rng.normal(0, 0.4, seen.shape[-1])
            layer.set_weights([gamma, beta, seen.mean(axes), seen.var(axes)])
            continue
        state = [_drawn(rng, array.shape) for array in layer.get_weights()]
        channel = next(channels, "alive")
        if channel != "alive" and len(state) == 2 and isinstance(layer, layers.Dense | layers.Conv2D):
            axis = -2 if isinstance(layer, layers.Conv2DTranspose | layers.DepthwiseConv2D) else -1
            np.moveaxis(state[0], axis, 0)[0] *= {"dead": 0, "near_dead": 1e-9}[channel]
            state[1][0] = 2
        layer.set_weights(state)


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 1:
        return rng.normal(0, 0.3, shape)
    spread = np.exp(rng.normal(0, 0.4, shape[-1]))
    return rng.normal(size=shape) * spread * (1.6 / np.prod(shape[:-1])) ** 0.5


def _finish(value: Any, layer: KerasLayer) -> Any:
    value = layers.BatchNormalization()(value) if layer.normalized else value
    return _activate(value, layer.activation)


def _convolution(value: Any, layer: KerasLayer) -> Any:
    if value.shape.rank == 2:
        return _dense(value, layer)
    kind = layers.Conv2D if value.shape.rank == 4 else layers.Conv1D
    kernel = [min(layer.kernel, size) for size in value.shape[1:-1]]
    return _finish(kind(layer.width, kernel, layer.stride, padding=layer.padding)(value), layer)


def _of_images(make: Callable[[KerasLayer], layers.Layer]) -> Callable[[Any, KerasLayer], Any]:
    """A layer of two dimensions; elsewhere a convolution or a dense layer takes its place."""

    def layered(value: Any, layer: KerasLayer) -> Any:
        if value.shape.rank != 4 or min(value.shape[1:3]) < 3:
            return _convolution(value, layer)
        return _finish(make(layer)(value), layer)

    return layered


def _dense(value: Any, layer: KerasLayer) -> Any:
    return _finish(layers.Dense(layer.width)(value), layer)


def _residual(value: Any, layer: KerasLayer) -> Any:
    if value.shape.rank != 4:
        return _convolution(value, layer)
    return _finish(layers.Add()([value, layers.Conv2D(value.shape[-1], 3, padding="same")(value)]), layer)


def _joined(value: Any, layer: KerasLayer) -> Any:
    if value.shape.rank != 4:
        return _convolution(value, layer)
    return layers.Concatenate()([value, _activate(layers.Conv2D(layer.width, 1)(value), layer.activation)])


def _excitation(value: Any, layer: KerasLayer) -> Any:
    if value.shape.rank != 4:
        return _convolution(value, layer)
    channels = value.shape[-1]
    gate = layers.Dense(4, "relu")(layers.GlobalAveragePooling2D()(value))
    gate = layers.Reshape((1, 1, channels))(layers.Dense(channels, "sigmoid")(gate))
    return layers.Multiply()([value, gate])


MAKERS: Mapping[str, Callable[[], layers.Layer]] = {
    "relu": layers.ReLU,
    "relu6": lambda: layers.ReLU(6.0),
    "elu": lambda: layers.Activation("elu"),
    "leaky_relu": lambda: layers.LeakyReLU(0.2),
    "sigmoid": lambda: layers.Activation("sigmoid"),
    "swish": lambda: layers.Activation("swish"),
    "tanh": lambda: layers.Activation("tanh"),
}
ACTIVATIONS = ("none", *MAKERS)


def _activate(value: Any, name: str) -> Any:
    return value if name == "none" else MAKERS[name]()(value)


KINDS: Mapping[str, Callable[[Any, KerasLayer], Any]] = {
    "convolution": _convolution,
    "dense": _dense,
    "depthwise": _of_images(lambda layer: layers.DepthwiseConv2D(3, layer.stride, padding=layer.padding)),
    "separable": _of_images(lambda layer: layers.SeparableConv2D(layer.width, 3, layer.stride, padding=layer.padding)),
    "transposed": _of_images(lambda layer: layers.Conv2DTranspose(layer.width, 3, 2, padding="same")),
    "max_pool": _of_images(lambda layer: layers.MaxPooling2D(2, layer.stride)),
    "average_pool": _of_images(lambda layer: layers.AveragePooling2D(2, padding=layer.padding)),
    "padded": _of_images(lambda _: layers.ZeroPadding2D(1)),
    "residual": _residual,
    "joined": _joined,
    "excitation": _excitation,
}
