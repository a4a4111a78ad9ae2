"""How stored images become what a network takes: declared once, applied in `encode` alone."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from octavo.project.schema import Record


class InputEncoding(Record):
    """What is done to an image, in this order: divided, less a mean, over a deviation, its axes put in order.

    As it is by default, uint8 becomes 0..1, and float is taken as it is.
    """

    scale: float = 255.0
    """What integers are divided by; floats are scaled already."""
    mean: tuple[float, ...] = ()
    """Of each channel, or one for all, after dividing; nothing for none."""
    std: tuple[float, ...] = ()
    """Likewise."""
    layout: Literal["stored", "channels_first"] = "stored"
    """As a split has them, channels last, or (N, C, H, W)."""
    dtype: Literal["float32", "uint8"] = "float32"
    """What the network takes: uint8 are the integers themselves, before any scale."""

    @model_validator(mode="after")
    def _integers_are_not_scaled(self) -> "InputEncoding":
        if self.dtype == "uint8" and (self.mean or self.std):
            raise ValueError("integers are taken as they are, without mean and std")
        return self


IMAGES = InputEncoding()
"""What every network takes that was trained here."""
BYTES = InputEncoding(dtype="uint8")
"""What a model file takes that scales its images itself."""


def encode(images: npt.NDArray[Any], encoding: InputEncoding = IMAGES) -> npt.NDArray[Any]:
    """What a network takes of stored images.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8, or float32 that is scaled already.
        encoding: of the network.

    Returns:
        float32 or uint8, as the encoding says. Images that are just that are returned themselves, not a copy.
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
