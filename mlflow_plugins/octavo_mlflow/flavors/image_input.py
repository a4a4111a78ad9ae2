"""Convert a caller's images to the one tensor that a model takes.

Two encodings are in use: uint8 in 0..255 and float32 in 0..1. A request in JSON names neither. If the data show the
encoding, it is used; ambiguous data are refused. This file is saved with each model, and needs only NumPy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

LEVELS = 255
UINT8, FLOAT32 = np.dtype(np.uint8), np.dtype(np.float32)
ENCODINGS = (UINT8.name, FLOAT32.name)


@dataclass(frozen=True)
class Input:
    """The tensor that a model takes: images of one shape, in the model's data type."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """The batch first; -1 for a free dimension; empty if the file does not declare it."""
    scale: float = 0.0
    """Of quantized input: real = scale * (integer - zero); 0 if the integers are pixels. Even then, images in uint8 are
    pixels, and are converted with this scale.
    """
    zero: int = 0

    def take(self, data: Any, encoding: str | None = None) -> np.ndarray:
        """Convert images to the model's tensor. Both encodings of an image give the same bits.

        Args:
            data: an array (N, ...) or (N, pixels), a nested list, a data frame with one image per row, or a mapping
                with exactly one of these. Grey images may be (N, H, W, 1) or (N, H, W), whatever the model has. JSON
                gives integers or float64 for both encodings.
            encoding: `uint8` or `float32`, if the data are ambiguous.

        Raises:
            ValueError: the images have another shape than the model's, or are integers that can be pixels or values, or
                contain NaN or infinite numbers. A model of integers would convert those to some pixel, and answer.
        """
        return _finite(self._converted(_finite(self._shaped(self._encoded(_array(data), encoding)))))

    def _encoded(self, images: np.ndarray, encoding: str | None) -> np.ndarray:
        """The images in the caller's encoding, or in the model's own."""
        if encoding not in (None, *ENCODINGS):
            raise ValueError(f"Images are encoded as {' or '.join(ENCODINGS)}, not as {encoding}.")
        if encoding == UINT8.name:
            return _exactly(images, UINT8)
        if encoding == FLOAT32.name:
            return _float32(images)
        if images.dtype in (self.dtype, UINT8):
            return images
        if np.issubdtype(images.dtype, np.floating):
            return _float32(images)
        if np.issubdtype(self.dtype, np.integer):
            return _exactly(images, self.dtype)
        if images.size and images.max() > 1:
            raise ValueError(
                f"Integers up to {images.max()} for a model that takes {self.dtype}: pixels in 0..255, or values? Say "
                'which with the parameter dtype: "uint8" or "float32".'
            )
        return images.astype(FLOAT32)

    def _shaped(self, images: np.ndarray) -> np.ndarray:
        inner = self.shape[1:]
        if images.ndim == 2 and len(inner) > 1 and min(inner) > 0 and images.shape[1] == prod(inner):
            return images.reshape(-1, *inner)
        if not self.shape or self._fits(images.shape):
            return images
        if images.shape[-1:] == (1,) and self._fits(images.shape[:-1]):
            return images[..., 0]
        if self._fits((*images.shape, 1)):
            return images[..., np.newaxis]
        raise ValueError(f"This model takes images of shape {self.shape}, the batch first; got {images.shape}.")

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return len(shape) == len(self.shape) and all(
            size in (-1, got) for size, got in zip(self.shape, shape, strict=True)
        )

    def _converted(self, images: np.ndarray) -> np.ndarray:
        if images.dtype == self.dtype and not (self.scale and self.dtype == UINT8):
            return images
        real = images.astype(FLOAT32) / np.float32(LEVELS) if images.dtype == UINT8 else images
        if np.issubdtype(self.dtype, np.floating):
            with np.errstate(over="ignore"):
                return real.astype(self.dtype, copy=False)
        if self.scale:
            limits = np.iinfo(self.dtype)
            return np.clip(np.rint(real / self.scale) + self.zero, limits.min, limits.max).astype(self.dtype)
        if self.dtype != UINT8:
            raise ValueError(f"This model takes {self.dtype}, got {images.dtype}.")
        if images.size and not 0 <= images.min() <= images.max() <= 1:
            raise ValueError(f"Images as float32 are in 0..1, got {images.min():g} to {images.max():g}.")
        return np.rint(images * LEVELS).astype(UINT8)


def _array(data: Any) -> np.ndarray:
    """The numbers in `data`, whatever its type."""
    if isinstance(data, Mapping):
        if len(data) != 1:
            raise ValueError(
                f"This model takes one tensor, got {len(data)}: {', '.join(f'{name!s:.20}' for name in data)}."
            )
        (data,) = data.values()
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
        data = np.stack([np.asarray(row) for (row,) in data]) if data.dtype == object and data.shape[1] == 1 else data
    if isinstance(data, str):
        raise ValueError("Images are arrays of numbers, got a string.")  # noqa: TRY004 - as for any other bad input
    images = np.asarray(data)
    if not (np.issubdtype(images.dtype, np.floating) or np.issubdtype(images.dtype, np.integer)):
        raise ValueError(f"Images are arrays of numbers, got {images.dtype} of shape {images.shape}.")
    return images


def _float32(images: np.ndarray) -> np.ndarray:
    """The same numbers, or the nearest ones; infinite outside the range of float32."""
    with np.errstate(over="ignore"):
        return images.astype(FLOAT32)


def _finite(images: np.ndarray) -> np.ndarray:
    """Return the images unchanged.

    Raises:
        ValueError: a number in them is not finite.
    """
    lost = np.atleast_1d(~np.isfinite(images))
    if lost.any():
        count = int(lost.any(axis=tuple(range(1, lost.ndim))).sum())
        raise ValueError(
            f"Pixels are NaN or infinite for {count:,} of {len(lost):,} images, as {images.dtype}: send finite ones."
        )
    return images


def _exactly(images: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The same numbers as integers of that type.

    Raises:
        ValueError: a number is not a whole number in the type's range.
    """
    with np.errstate(invalid="ignore"):
        same = images.astype(dtype)
    if not np.array_equal(same, images):
        limits = np.iinfo(dtype)
        raise ValueError(
            f"Images as {dtype} are whole numbers in {limits.min}..{limits.max}, got {images.min():g} to "
            f"{images.max():g}."
        )
    return same
