"""Training images with random changes, new in each epoch and the same in every run."""

from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from tf_keras import layers

from octavo.data.input_encoding import encode
from octavo.data.splits import Split
from octavo.project.errors import ParamsError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.training import Augmentation

IMAGES = (2, 3)
"""Numbers of dimensions of one image."""
FLIPS = {"horizontal": "horizontal", "vertical": "vertical", "both": "horizontal_and_vertical"}


def batches(
    train: Split, asked: Augmentation, size: int, encoding: InputEncoding, weights: Mapping[int, float] | None
) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches without end: encoded examples, (N, …), labels, (N,), and with `weights` float32 (N,). Each epoch has all
    examples in a new order.

    The changes are made on the stored values, before the encoding, and stay within their range. They depend on the
    global seed alone.

    Args:
        train: the examples.
        asked: which changes.
        size: of a batch.
        encoding: of the network's input.
        weights: label of a class -> how much its examples count; 1 where none is given.

    Raises:
        ParamsError: the examples are no images, and the changes are for images.
    """
    shape = train.images.shape[1:]
    if asked.for_images and len(shape) not in IMAGES:
        raise ParamsError(
            f"augmentation has {', '.join(asked.for_images)}, which are for images (H, W) or (H, W, C), and examples "
            f"have shape {shape}. Allowed for them is noise."
        )
    seed = int(tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int32))
    counts = None
    if weights is not None:
        counts = np.array([weights.get(label, 1) for label in range(int(train.labels.max()) + 1)], np.float32)
    examples = _endless(train, size, asked, seed)
    return (
        (encode(stored, encoding), labels, *(() if counts is None else (counts[labels],)))
        for stored, labels in examples
    )


def _endless(train: Split, size: int, asked: Augmentation, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Changed examples as stored, and their labels."""
    limits = _range(train.images)
    order, changes = np.random.default_rng(seed), _changes(asked, limits, seed)
    while True:
        permutation = order.permutation(len(train.labels))
        for start in range(0, len(permutation), size):
            which = permutation[start : start + size]
            changed = np.clip(_changed(train.images[which], changes), *limits)
            stored = np.rint(changed).astype(np.uint8) if train.images.dtype == np.uint8 else changed
            yield stored, train.labels[which]


def _range(images: np.ndarray) -> tuple[float, float]:
    """Between which values examples lie: those that bytes have, or those of the floats here."""
    return (0.0, 255.0) if images.dtype == np.uint8 else (float(images.min()), float(images.max()))


def _changes(asked: Augmentation, limits: tuple[float, float], seed: int) -> list[layers.Layer]:
    width = limits[1] - limits[0]
    filled = {"fill_mode": "nearest", "seed": seed}
    found = {
        "flip": asked.flip and layers.RandomFlip(FLIPS[asked.flip], seed=seed),
        "rotation": asked.rotation and layers.RandomRotation(asked.rotation / 360, **filled),
        "zoom": asked.zoom and layers.RandomZoom(asked.zoom, **filled),
        "shift": asked.shift and layers.RandomTranslation(asked.shift, asked.shift, **filled),
        "brightness": asked.brightness and layers.RandomBrightness(asked.brightness, limits, seed=seed),
        "noise": asked.noise and layers.GaussianNoise(asked.noise * width, seed=seed),
    }
    return [layer for layer in found.values() if layer]


def _changed(images: np.ndarray, changes: list[layers.Layer]) -> np.ndarray:
    """Changed images, float32 of the same shape."""
    grey = images.ndim == max(IMAGES)
    values = tf.cast(images[..., np.newaxis] if grey else images, tf.float32)
    for change in changes:
        values = change(values, training=True)
    return np.asarray(values[..., 0] if grey else values)
