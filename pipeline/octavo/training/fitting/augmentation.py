"""Training images with random changes, new in each epoch and the same in every run."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tf_keras import layers

from octavo.data.input_encoding import encode
from octavo.data.splits import Split
from octavo.project.errors import ParamsError
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.training import Augmentation, Fit

IMAGES = (2, 3)
"""Numbers of dimensions of one image."""
FLIPS = {"horizontal": "horizontal", "vertical": "vertical", "both": "horizontal_and_vertical"}


def batches(
    train: Split, budget: Fit, asked: Augmentation, encoding: InputEncoding
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches without end: encoded examples, (N, …), and labels, (N,). Each epoch has all examples in a new order.

    The changes are made on the stored values, before the encoding, and stay within their range. They depend on the
    global seed alone.

    Args:
        train: the examples.
        budget: batch size.
        asked: which changes.
        encoding: of the network's input.

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
    return _endless(train, budget.batch_size, asked, encoding, seed)


def _endless(
    train: Split, size: int, asked: Augmentation, encoding: InputEncoding, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    limits = _range(train.images)
    order, changes = np.random.default_rng(seed), _changes(asked, limits, seed)
    while True:
        permutation = order.permutation(len(train.labels))
        for start in range(0, len(permutation), size):
            which = permutation[start : start + size]
            changed = np.clip(_changed(train.images[which], changes), *limits)
            stored = np.rint(changed).astype(np.uint8) if train.images.dtype == np.uint8 else changed
            yield encode(stored, encoding), train.labels[which]


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
