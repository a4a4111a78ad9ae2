"""Images as callers have them, made into the one tensor that a model takes.

Two encodings are in use, uint8 in 0..255 and float32 in 0..1, and a request in JSON names neither. What can be told
from the data is told, what could be meant either way is refused. This file travels with the models that are saved, and
needs NumPy alone.
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
    """The tensor that a model takes: images of one shape, in whatever it computes with."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """The batch first; -1 where a dimension is free, and nothing where the file does not say."""
    scale: float = 0.0
    """Of quantized input: real = scale * (integer - zero); 0 where the integers are pixels. Images in uint8 are pixels
    even then: what stands for them is looked up in this scale."""
    zero: int = 0

    def take(self, data: Any, encoding: str | None = None) -> np.ndarray:
        """What the model takes of these images; the same for both encodings, to the bit.

        Args:
            data: an array (N, ...) or (N, pixels), a nested list, a data frame of a row an image, or a mapping that
                holds just one of these. Grey images may have their one channel last, (N, H, W, 1), or not, (N, H, W),
                whatever the model has. Integers and float64 are what JSON makes of both encodings.
            encoding: `uint8` or `float32`, where the data do not tell.

        Raises:
            ValueError: they are no images of this model's shape, integers that could be pixels or values, or NaN or
                infinite: a model of integers makes some pixel of these, and answers.
        """
        return _finite(self._converted(_finite(self._shaped(self._encoded(_array(data), encoding)))))

    def _encoded(self, images: np.ndarray, encoding: str | None) -> np.ndarray:
        """In the caller's encoding, or as the model takes them."""
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
    """The numbers in `data`, whatever holds them."""
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
        raise ValueError("Images are arrays of numbers, got a string.")  # noqa: TRY004 - as all that is no image
    images = np.asarray(data)
    if not (np.issubdtype(images.dtype, np.floating) or np.issubdtype(images.dtype, np.integer)):
        raise ValueError(f"Images are arrays of numbers, got {images.dtype} of shape {images.shape}.")
    return images


def _float32(images: np.ndarray) -> np.ndarray:
    """The same numbers, or the nearest; infinite where they are beyond."""
    with np.errstate(over="ignore"):
        return images.astype(FLOAT32)


def _finite(images: np.ndarray) -> np.ndarray:
    """The images themselves.

    Raises:
        ValueError: a number of them is not finite.
    """
    lost = np.atleast_1d(~np.isfinite(images))
    if lost.any():
        count = int(lost.any(axis=tuple(range(1, lost.ndim))).sum())
        raise ValueError(
            f"Pixels are NaN or infinite for {count:,} of {len(lost):,} images, as {images.dtype}: send finite ones."
        )
    return images


def _exactly(images: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """The same numbers as integers of that type."""
    with np.errstate(invalid="ignore"):
        same = images.astype(dtype)
    if not np.array_equal(same, images):
        limits = np.iinfo(dtype)
        raise ValueError(
            f"Images as {dtype} are whole numbers in {limits.min}..{limits.max}, got {images.min():g} to "
            f"{images.max():g}."
        )
    return same
