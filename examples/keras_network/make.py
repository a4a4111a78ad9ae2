"""Make what a user of Octavo already has: `net.keras`, trained and saved by Keras 3, and the data, `images.npz`."""

from pathlib import Path

import keras
import numpy as np

SIDE = 24
KINDS = 4
"""Rows, columns, diagonals and checks."""


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy grey patterns, uint8 (n, 24, 24), and their kinds, int64 (n,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % KINDS
    down, right = (axis + generator.integers(0, 6, (n, 1, 1)) for axis in np.mgrid[:SIDE, :SIDE])
    rows, columns, diagonals = (each // 3 % 2 for each in (down, right, down + right))
    patterns = np.choose(labels[:, None, None], [rows, columns, diagonals, rows ^ columns])
    pixels = 128 + 30 * (2 * patterns - 1) + generator.normal(0, 60, patterns.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Conv2D(16, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(KINDS, activation="softmax"),
        ]
    )


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = stripes(4000, seed=1), stripes(2000, seed=2)
    np.savez(Path("images.npz"), x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train[..., None] / 255, y_train, batch_size=32, epochs=10, verbose=0)
    model.save("net.keras")
    print("made: net.keras and images.npz")
