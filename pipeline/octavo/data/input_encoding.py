"""How stored images become the input of a network. Declared in one place, and applied only by `encode`."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from octavo.project.schema import Record


class InputEncoding(Record):
    """How an image is encoded: divide by `scale`, subtract `mean`, divide by `std`, then reorder the axes.

    By default uint8 becomes float32 in 0..1, and float stays unchanged.
    """

    scale: float = 255.0
    """Divisor of uint8 images. Float images are already scaled."""
    mean: tuple[float, ...] = ()
    """Subtracted after the division: one value per channel, or one for all. Empty: nothing is subtracted."""
    std: tuple[float, ...] = ()
    """Divisor after the subtraction: one value per channel, or one for all. Empty: no division."""
    layout: Literal["stored", "channels_first"] = "stored"
    """`stored`: axes as in the split, channels last. `channels_first`: (N, C, H, W)."""
    dtype: Literal["float32", "uint8"] = "float32"
    """Type of the network's input. uint8: the stored integers, without scale, mean and std."""

    @model_validator(mode="after")
    def _integers_are_not_scaled(self) -> "InputEncoding":
        if self.dtype == "uint8" and (self.mean or self.std):
            raise ValueError("dtype 'uint8' allows no mean and no std, because integers stay unchanged")
        return self


IMAGES = InputEncoding()
"""The input of every network that Octavo trains."""
BYTES = InputEncoding(dtype="uint8")
"""The input of a model file that scales its images itself."""


def encode(images: npt.NDArray[Any], encoding: InputEncoding = IMAGES) -> npt.NDArray[Any]:
    """Encode stored images as a network's input.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8, or float32 that is already scaled.
        encoding: of the network.

    Returns:
        float32 or uint8, as the encoding says. If nothing needs to change, the same array, not a copy.
    """
    if encoding.dtype == "uint8":
        found = images if images.dtype == np.uint8 else np.rint(images * encoding.scale).astype(np.uint8)
    else:
        found = _real(images, encoding)
    return np.moveaxis(found, -1, 1) if encoding.layout == "channels_first" and found.ndim > 3 else found


def _real(images: npt.NDArray[Any], encoding: InputEncoding) -> npt.NDArray[Any]:
    real = images.astype(np.float32) / np.float32(encoding.scale) if images.dtype == np.uint8 else images
    if encoding.mean:
        real = real - np.asarray(encoding.mean, np.float32)
    return real / np.asarray(encoding.std, np.float32) if encoding.std else real
