"""Weights as long training leaves them, within seconds.

Networks fresh from a builder are kind to quantizers: biases of zero, batch normalization that does nothing, channels of
one size. Here the channels start at different sizes and biases apart from zero, training is short but real, then some
channels die, and moving statistics drift, as those of other batches do. The last layer is adjusted to all that.
"""

import zlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from octavo.data.splits import Split

BATCH, LEARNING_RATE = 50, 2e-3
SPREAD = 0.4
"""Standard deviation of the logarithm of channels' sizes."""
DRIFT = 0.1
"""Of moving means in standard deviations, and of the logarithm of moving variances."""
DEAD_EVERY = 16
"""One channel of so many has nearly died, in layers of at least as many channels."""
DEAD = (-9, -3)
"""What such channels have left of their size, as powers of ten."""
DAMPING = 0.01
"""Of the last layer's adjustment, times the mean square of its inputs."""


def train(model: keras.Model, data: Split, classifies: bool, epochs: int) -> None:
    """Fill `model` in place; the same name gets the same weights.

    Args:
        model: the last of its layers that has weights gives its outputs, linearly.
        data: float32 images and their labels.
        classifies: whether outputs are logits; else they are to be the image itself, as `_pictures` has it.
        epochs: of training.
    """
    random = np.random.default_rng(zlib.crc32(model.name.encode()))
    for layer in _layers(model):
        _draw(layer, random)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if classifies else "mse"
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss)
    wanted = data.labels if classifies else _pictures(data.images, model.output_shape[-1])
    model.fit(data.images, wanted, batch_size=BATCH, epochs=epochs, verbose=0)
    _settle_normalizations(model, data.images)
    learned = model(data.images, training=False).numpy()
    for layer in _layers(model):
        _age(layer, random)
    _settle_normalizations(model, data.images)
    _drift(model, random)
    if classifies:
        _adjust_last(model, data.images, learned)


def _layers(model: keras.Model) -> Iterator[layers.Layer]:
    """All layers with variables of their own, those in wrappers and cells, too."""
    return (module for module in model.submodules if isinstance(module, layers.Layer))


def _draw(layer: layers.Layer, random: np.random.Generator) -> None:
    for name, axis, inputs in _kernels(layer):
        kernel = getattr(layer, name)
        kernel.assign(np.sqrt(2 / inputs) * _noise(name, kernel.shape, random))
        _scale(kernel, axis, np.exp(random.normal(0, SPREAD, kernel.shape[axis])))
    if getattr(layer, "bias", None) is not None:
        layer.bias.assign(layer.bias + random.normal(0.05, 0.2, layer.bias.shape))
    if isinstance(layer, (layers.BatchNormalization, layers.LayerNormalization)):
        layer.gamma.assign(np.exp(random.normal(0, SPREAD, layer.gamma.shape)))
        layer.beta.assign(random.normal(0.1, 0.3, layer.beta.shape))
    if isinstance(layer, layers.PReLU):
        layer.alpha.assign(random.uniform(0.05, 0.4, layer.alpha.shape))


def _kernels(layer: layers.Layer) -> Iterator[tuple[str, int, float]]:
    """Names of kernels to be drawn anew, the axis of their output channels, and how many inputs each adds up.

    Those of recurrent layers and of attention stay as Keras draws them.
    """
    match layer:
        case layers.SeparableConv2D():
            yield "depthwise_kernel", 2, np.prod(layer.depthwise_kernel.shape[:2])
            yield "pointwise_kernel", 3, layer.pointwise_kernel.shape[2] / 2
        case layers.DepthwiseConv2D():
            yield "depthwise_kernel", 2, np.prod(layer.depthwise_kernel.shape[:2])
        case layers.Conv2DTranspose():
            height, width, _, channels = layer.kernel.shape
            yield "kernel", 2, height * width * channels / np.prod(layer.strides)
        case layers.Conv1D() | layers.Conv2D() | layers.Conv3D() | layers.Dense():
            yield "kernel", -1, np.prod(layer.kernel.shape[:-1])


def _noise(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Gaussian; depthwise kernels vary less from place to place than from channel to channel, as trained ones do."""
    if name != "depthwise_kernel":
        return random.normal(size=shape)
    smooth = random.normal(size=(1, 1, *shape[2:])) + 0.5 * random.normal(size=shape)
    return smooth / np.sqrt(shape[0] * shape[1])


def _scale(variable: tf.Variable, axis: int, sizes: np.ndarray) -> None:
    value = variable.numpy()
    shape = [-1 if place == axis % value.ndim else 1 for place in range(value.ndim)]
    variable.assign(value * sizes.reshape(shape))


def _age(layer: layers.Layer, random: np.random.Generator) -> None:
    """Let some channels nearly die: of batch normalization, or of kernels beside a bias, which stays."""
    if isinstance(layer, layers.BatchNormalization):
        layer.gamma.assign(layer.gamma * _remains(layer.gamma.shape[0], random))
    if getattr(layer, "bias", None) is not None:
        for name, axis, _ in _kernels(layer):
            kernel = getattr(layer, name)
            _scale(kernel, axis, _remains(kernel.shape[axis], random))


def _remains(channels: int, random: np.random.Generator) -> np.ndarray:
    sizes, dead = np.ones(channels), random.permutation(channels)[: channels // DEAD_EVERY]
    sizes[dead] = 10 ** random.uniform(*DEAD, len(dead))
    return sizes


def _settle_normalizations(model: keras.Model, images: np.ndarray) -> None:
    """Give batch normalization the statistics of `images`."""
    momenta = {layer: layer.momentum for layer in _normalizations(model)}
    for layer in momenta:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum


def _drift(model: keras.Model, random: np.random.Generator) -> None:
    """Let moving statistics be a little off, as those of other batches are."""
    for layer in _normalizations(model):
        mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        layer.moving_mean.assign(mean + DRIFT * np.sqrt(variance) * random.normal(size=mean.shape))
        layer.moving_variance.assign(variance * np.exp(DRIFT * random.normal(size=mean.shape)))


def _normalizations(model: keras.Model) -> list[layers.BatchNormalization]:
    return [layer for layer in _layers(model) if isinstance(layer, layers.BatchNormalization)]


def _adjust_last(model: keras.Model, images: np.ndarray, learned: np.ndarray) -> None:
    """Change the last layer with weights as little as brings the logits back to those `learned`: ridge regression.

    What the layer reads is averaged over places, which in a network that averages afterwards is the same.
    """
    last = [layer for layer in model.layers if layer.weights][-1]
    features = keras.Model(model.inputs, last.input)(images, training=False).numpy().astype(np.float64)
    features = features.reshape(len(features), -1, features.shape[-1]).mean(1)
    kernel = last.kernel.numpy().reshape(features.shape[1], -1)
    missing = learned - features @ kernel - last.bias.numpy()
    centred = features - features.mean(0)
    damping = DAMPING * (features**2).sum() / features.shape[1]
    change = np.linalg.solve(centred.T @ centred + damping * np.eye(len(kernel)), centred.T @ missing)
    last.kernel.assign((kernel + change).reshape(last.kernel.shape))
    last.bias.assign(last.bias.numpy() + (missing - features @ change).mean(0))


def _pictures(images: np.ndarray, outputs: int) -> np.ndarray:
    """What a network of `outputs` values is to make of images: themselves, with their negative, or twice as wide."""
    grey = images.reshape(len(images), *images.shape[1:3])
    match outputs // grey[0].size:
        case 1:
            pictures = grey
        case 2:
            pictures = np.stack([grey, 1 - grey], axis=-1)
        case _:
            pictures = grey.repeat(2, axis=1).repeat(2, axis=2)
    return pictures.reshape(len(images), outputs)
