"""A model opened for running, whatever its format."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.data.input_encoding import BYTES, IMAGES, encode
from octavo.tasks.logits import check


@dataclass(frozen=True)
class Quantization:
    """Integers that stand for real values: real = scale * (integer - zero)."""

    dtype: np.dtype[np.integer]
    scale: float
    zero: int

    def integers(self, real: npt.NDArray[np.floating]) -> np.ndarray:
        """The nearest integers, halves to even, the nearest that there are for what lies beyond; shape is kept."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(real / np.float32(self.scale)) + self.zero
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def real(self, integers: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """What the integers stand for, float32; shape is kept."""
        return (integers.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


@dataclass(frozen=True)
class Predictor:
    """Maps images to logits, float32 (N, classes)."""

    run: Callable[[np.ndarray], np.ndarray]
    """From just what the model takes to logits in float32, whatever the file gives."""
    takes_bytes: bool = False
    """Whether the model takes uint8 in 0..255 as they are, instead of float32."""
    quantization: Quantization | None = None
    """Of a model that takes integers which stand for float32."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits of images (N, H, W[, C]), uint8 in 0..255 or float32 in 0..1."""
        return self.run(self.feed(images))

    def feed(self, images: np.ndarray) -> np.ndarray:
        """What the model takes of these images."""
        if self.quantization is not None:
            return self.quantization.integers(encode(images))
        return encode(images, BYTES if self.takes_bytes else IMAGES)


BATCH = 256


def logits(predict: Predictor, images: np.ndarray, whose: str = "The model") -> np.ndarray:
    """Logits, float32 (N, classes), of images as stored in a split.

    Raises:
        NotFinite: a logit is NaN or infinite; the message says whose they are.
    """
    found = np.concatenate([predict(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
    check(found, whose)
    return found
