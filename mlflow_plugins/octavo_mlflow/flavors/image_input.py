"""Convert a caller's images to the one tensor that a model takes.

Two encodings are in use: uint8 in 0..255, and float32, which is uint8 divided by 255 or by the scale that the file
declares. A request in JSON names neither. If the data show the encoding, it is used; ambiguous data are refused. Mean,
std and the order of axes, if the file declares them, are applied here. This file is saved with each model, and needs
only NumPy.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

DECLARED = "octavo.encoding"
"""Entry of a file's metadata that declares how images become its input; a file of the default has none."""
UINT8, FLOAT32 = np.dtype(np.uint8), np.dtype(np.float32)
ENCODINGS = (UINT8.name, FLOAT32.name)


@dataclass(frozen=True)
class Steps:
    """What is done to images: the library's `InputEncoding`, without its data type."""

    scale: float = 255.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: str = "stored"

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> "Steps":
        """The steps that a file's metadata declare.

        Raises:
            ValueError: it declares something else.
        """
        try:
            found = json.loads(metadata.get(DECLARED, "{}"))
            values: dict[str, Any] = {
                name: tuple(map(float, value)) if isinstance(value, list) else value for name, value in found.items()
            }
            return cls(**values)
        except (ValueError, TypeError, AttributeError):
            raise ValueError(f"its metadata declare the input encoding {metadata[DECLARED]:.200}") from None

    def scaled(self, images: np.ndarray) -> np.ndarray:
        """Images as the file's real numbers, with their axes as they are; those in uint8 are divided by the scale."""
        real = images.astype(FLOAT32) / np.float32(self.scale) if images.dtype == UINT8 else images
        if self.mean:
            real = real - np.asarray(self.mean, FLOAT32)
        return real / np.asarray(self.std, FLOAT32) if self.std else real

    def laid_out(self, images: np.ndarray) -> np.ndarray:
        """Images with their axes as the file has them."""
        if self.layout == "channels_first":
            return np.ascontiguousarray(np.moveaxis(images, -1, 1))
        if self.layout == "stored":
            return images
        return np.expand_dims(images, 1 if self.layout == "channel_added_first" else -1)

    def stored(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of images, if the file takes `shape`, the batch first."""
        if not shape or self.layout == "stored":
            return shape
        batch, *inner = shape
        if self.layout == "channels_first":
            return (batch, *inner[1:], inner[0])
        return (batch, *(inner[1:] if self.layout == "channel_added_first" else inner[:-1]))


@dataclass(frozen=True)
class Input:
    """The tensor that a model takes: images of one shape, in the model's data type."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    """Of images as callers give them, the batch first; -1 for a free dimension; empty if the file does not declare
    it.
    """
    scale: float = 0.0
    """Of quantized input: real = scale * (integer - zero); 0 if the integers are pixels. Even then, images in uint8 are
    pixels, and are converted with this scale.
    """
    zero: int = 0
    steps: Steps = Steps()

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
        images = _finite(self._shaped(self._encoded(_array(data), encoding)))
        return self.steps.laid_out(_finite(self._converted(images)))

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
        as_it_is = np.issubdtype(self.dtype, np.integer) and not (self.scale and self.dtype == UINT8)
        if images.dtype == self.dtype and as_it_is:
            return images
        real = self.steps.scaled(images)
        if np.issubdtype(self.dtype, np.floating):
            with np.errstate(over="ignore"):
                return real.astype(self.dtype, copy=False)
        if self.scale:
            limits = np.iinfo(self.dtype)
            return np.clip(np.rint(real / self.scale) + self.zero, limits.min, limits.max).astype(self.dtype)
        if self.dtype != UINT8:
            raise ValueError(f"This model takes {self.dtype}, got {images.dtype}.")
        most = np.iinfo(UINT8).max / self.steps.scale
        if images.size and not 0 <= images.min() <= images.max() <= most:
            raise ValueError(f"Images as float32 are in 0..{most:g}, got {images.min():g} to {images.max():g}.")
        return np.rint(images * self.steps.scale).astype(UINT8)


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
