"""The ranges of fake quantization, before and after training."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.python.core.quantization.keras import quantizers

from octavo.project import story
from octavo.project.errors import ModelError

ACTIVATION_QUANTIZERS = (quantizers.MovingAverageQuantizer, quantizers.AllValuesQuantizer)
"""TFMOT uses the second one for the network's input."""
NARROW = 1e-6
"""A layer whose learned range is narrower than this counts as giving only zeros."""


def initialize_ranges(model: keras.Model, images: np.ndarray, batch_size: int = 100) -> None:
    """Set every activation range to the smallest and largest value seen over calibration images, in place.

    TFMOT starts its moving averages at ±6 with a decay of 0.999. A short fine-tuning would hardly learn the true
    ranges: after 108 steps, the minimum of a ReLU is still -6·0.999^108 = -5.385. So during inference on the images,
    TFMOT's all-values observer replaces the moving averages.

    Args:
        model: a network from `qat.annotate`.
        images: float32 (N, H, W[, C]) in 0..1.
        batch_size: images per run.

    Raises:
        ModelError: a layer's values are not finite.
    """
    ranges = _activation_ranges(model, images[:1])
    for low, high in ranges:
        low.assign(0)
        high.assign(0)
    with _observing():
        for start in range(0, len(images), batch_size):
            model(images[start : start + batch_size], training=False)
    for low, high in ranges:
        if not np.isfinite([low.numpy(), high.numpy()]).all():
            raise ModelError(
                f"Network '{model.name}' cannot be trained quantization-aware: the values at '{_place(low)}' are not "
                "finite on calibration images."
            )
    widen(model, images)


def widen(model: keras.Model, images: np.ndarray) -> None:
    """Replace ranges that are too narrow to divide by, in place, and report layers that are completely dead.

    A dead ReLU has the range 0..0, or approaches it. It gets the range 0..1. A channel whose weights are all zero has
    the range 0..0 too. It gets -1..1: with a scale near 0, its bias would exceed the range of the integers.

    `images` are float32 (N, H, W[, C]) in 0..1; only the first one is used.
    """
    for low, high in _activation_ranges(model, images[:1]):
        if high.numpy() - low.numpy() < NARROW:
            story.say(f"'{_place(low)}' gives only zeros: its range {low.numpy():g}..{high.numpy():g} becomes 0..1.")
            low.assign(0)
            high.assign(1)
    for low, high in _ranges(model, images[:1], (quantizers.LastValueQuantizer,)):
        dead = high.numpy() == low.numpy()
        low.assign(np.where(dead, -1, low.numpy()))
        high.assign(np.where(dead, 1, high.numpy()))


def _activation_ranges(model: keras.Model, images: np.ndarray) -> list[tuple[tf.Variable, tf.Variable]]:
    return _ranges(model, images, ACTIVATION_QUANTIZERS)


def _ranges(model: keras.Model, images: np.ndarray, kinds: tuple[type, ...]) -> list[tuple[tf.Variable, tf.Variable]]:
    """Minimum and maximum of each range of quantizers of these classes, in the order in which they are used."""
    found = {}

    def record(_: object, inputs: tf.Tensor, _training: object, weights: dict[str, tf.Variable]) -> tf.Tensor:
        found[id(weights["min_var"])] = (weights["min_var"], weights["max_var"])
        return inputs

    with _calls_replaced(dict.fromkeys(kinds, record)):
        model(images, training=False)
    return list(found.values())


@contextmanager
def _observing() -> Iterator[None]:
    """Update ranges from the values of each run: those of activations from all runs, those of weights from the last."""
    read, observe = quantizers.LastValueQuantizer.__call__, quantizers.AllValuesQuantizer.__call__

    def observed(quantizer: object, inputs: tf.Tensor, _training: object, weights: dict[str, tf.Variable]) -> tf.Tensor:
        return observe(quantizer, inputs, True, weights)

    def last(quantizer: object, inputs: tf.Tensor, _training: object, weights: dict[str, tf.Variable]) -> tf.Tensor:
        return read(quantizer, inputs, True, weights)

    with _calls_replaced({**dict.fromkeys(ACTIVATION_QUANTIZERS, observed), quantizers.LastValueQuantizer: last}):
        yield


@contextmanager
def _calls_replaced(calls: Mapping[type, Callable[..., tf.Tensor]]) -> Iterator[None]:
    with ExitStack() as replaced:
        for kind, call in calls.items():
            replaced.enter_context(mock.patch.object(kind, "__call__", call))
        yield


def _place(variable: tf.Variable) -> str:
    return variable.name.rpartition("/")[0].removeprefix("quant_")
