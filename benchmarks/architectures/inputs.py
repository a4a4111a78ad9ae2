"""Data of every shape: MNIST's digits, grey, small, coloured, as rows and as films, and made signals.

Everything is float32 in 0..1, but signals, which lie around 0. Each kind has 10 classes that can be told apart.
"""

from dataclasses import dataclass

import numpy as np

from octavo.data.sources import load
from octavo.data.splits import Split
from octavo.project.params.data import Data

TRAIN, TEST = 1500, 1000
LENGTH, FRAME, HOP = 128, 32, 4
"""Samples of a signal; samples of one column of its spectrogram, and from one column to the next."""


@dataclass(frozen=True)
class Examples:
    train: Split
    test: Split


def examples(kind: str) -> Examples:
    """Training and test examples of one of `KINDS`, the same at every call."""
    images, labels = KINDS[kind]()
    parts = slice(TRAIN), slice(TRAIN, TRAIN + TEST)
    train, test = (Split(np.ascontiguousarray(images[part], np.float32), labels[part]) for part in parts)
    return Examples(train, test)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """(N, 28, 28) in 0..1."""
    images, labels = load(Data(source="mnist")).train
    return images[: TRAIN + TEST] / 255, np.asarray(labels[: TRAIN + TEST], np.int64)


def _grey() -> tuple[np.ndarray, np.ndarray]:
    """(N, 28, 28, 1)."""
    images, labels = _digits()
    return images[..., np.newaxis], labels


def _small() -> tuple[np.ndarray, np.ndarray]:
    """(N, 16, 16): halved, with a border."""
    images, labels = _digits()
    halved = images.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return np.pad(halved, ((0, 0), (1, 1), (1, 1))), labels


def _colour() -> tuple[np.ndarray, np.ndarray]:
    """(N, 32, 32, 3): a digit on a coloured ground that gets brighter to one side, with noise.

    As in photographs, colour tells something of the class: each has an ink that its digits come near.
    """
    images, labels = _digits()
    random = np.random.default_rng(0)
    shape = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]
    ink = random.uniform(0.2, 1, (10, 1, 1, 3))[labels] + random.normal(0, 0.08, (len(images), 1, 1, 3))
    ground = random.uniform(0.5, 1, (len(images), 1, 1, 3))
    slope = np.linspace(0.1, 0.5, 32)[:, np.newaxis, np.newaxis]
    noisy = shape * ink + (1 - shape) * ground * slope + random.normal(0, 0.02, (len(images), 32, 32, 3))
    return noisy.clip(0, 1), labels


def _film() -> tuple[np.ndarray, np.ndarray]:
    """(N, 8, 16, 16, 1): a digit that moves."""
    images, labels = _small()
    return np.stack([np.roll(images, step // 2 - 2, axis=2) for step in range(8)], axis=1)[..., np.newaxis], labels


def _signal() -> tuple[np.ndarray, np.ndarray]:
    """(N, 128, 3): a tone of the class' frequency, its square and a slow drift, all with noise; around 0."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, TRAIN + TEST)
    time = np.arange(LENGTH) / LENGTH
    phase, loudness = random.uniform(0, 2 * np.pi, (len(labels), 1)), random.uniform(0.5, 2, (len(labels), 1))
    tone = loudness * np.sin(2 * np.pi * (3 + 2 * labels[:, np.newaxis]) * time + phase)
    drift = random.normal(0, 1, (len(labels), 1)) * time
    channels = np.stack([tone, tone**2, drift], axis=2)
    return channels + random.normal(0, 0.1, channels.shape), labels


def _spectrogram() -> tuple[np.ndarray, np.ndarray]:
    """(N, 25, 17, 1): loudness over time and frequency."""
    signals, labels = _signal()
    frames = np.lib.stride_tricks.sliding_window_view(signals[..., 0], FRAME, axis=1)[:, ::HOP]
    loudness = np.log1p(np.abs(np.fft.rfft(frames * np.hanning(FRAME))))
    return (loudness / loudness.max())[..., np.newaxis], labels


def _frames() -> tuple[np.ndarray, np.ndarray]:
    """(N, 25, 17): the same as a sequence."""
    images, labels = _spectrogram()
    return images[..., 0], labels


KINDS = {
    "grey": _grey,
    "small": _small,
    "colour": _colour,
    "film": _film,
    "signal": _signal,
    "spectrogram": _spectrogram,
    "frames": _frames,
}
