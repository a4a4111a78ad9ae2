"""A model opened for running, whatever its format."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.splits import pixels


@dataclass(frozen=True)
class Predictor:
    """Maps images to logits, float32 (N, classes)."""

    run: Callable[[np.ndarray], np.ndarray]
    """From just what the model takes."""
    takes_bytes: bool = False
    """Whether that is uint8 in 0..255 instead of float32."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits of images (N, H, W[, C]), uint8 in 0..255 or float32 in 0..1."""
        return self.run(self.feed(images))

    def feed(self, images: np.ndarray) -> np.ndarray:
        """What the model takes of these images."""
        if not self.takes_bytes:
            return pixels(images)
        return images if images.dtype == np.uint8 else np.rint(images * 255).astype(np.uint8)
