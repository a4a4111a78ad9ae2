"""How stored images become what a network is fed."""

from typing import Any

import numpy as np
import numpy.typing as npt


def pixels(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """What a network is fed: uint8 images scaled to 0..1 as float32, float32 images as they are. Shape is kept."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    return images
