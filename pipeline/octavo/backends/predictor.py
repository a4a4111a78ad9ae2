"""A model of any format, opened for running."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octavo.data.input_encoding import IMAGES, encode
from octavo.project.params.encoding import InputEncoding
from octavo.tasks.logits import check


@dataclass(frozen=True)
class Quantization:
    """Integers that represent real values: real = scale * (integer - zero).

    Source: Jacob et al., arXiv:1712.05877, equation 1.
    """

    dtype: np.dtype[np.integer]
    scale: float
    zero: int

    def integers(self, real: npt.NDArray[np.floating]) -> np.ndarray:
        """The nearest integers in `dtype`, of the same shape. Halves round to even; values out of range are clipped."""
        limits = np.iinfo(self.dtype)
        steps = np.rint(real / np.float32(self.scale)) + self.zero
        return np.clip(steps, limits.min, limits.max).astype(self.dtype)

    def real(self, integers: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """The real values of the integers, float32 of the same shape."""
        return (integers.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


@dataclass(frozen=True)
class Predictor:
    """Maps images to logits, float32 (N, classes)."""

    run: Callable[[np.ndarray], np.ndarray]
    """From images in the model's input encoding to logits, float32 (N, classes), also if the file's outputs are
    integers."""
    input_encoding: InputEncoding = IMAGES
    """Of the model's input, as the file declares it."""
    quantization: Quantization | None = None
    """Of a model whose input is integers that represent float32 values; None for other models."""
    mixes: bool = False
    """Whether the answer to one example depends on the others of its batch."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Logits, float32 (N, classes), of examples as a split stores them."""
        return self.run(self.feed(images))

    def feed(self, images: np.ndarray) -> np.ndarray:
        """Examples as a split stores them (N, …), uint8 or float32, in the model's input encoding."""
        real = encode(images, self.input_encoding)
        return real if self.quantization is None else self.quantization.integers(real)


BATCH = 256
"""Images per call in `logits`."""


def logits(predict: Predictor, images: np.ndarray, whose: str = "The model", batch: int = BATCH) -> np.ndarray:
    """Logits of all images, computed in batches.

    Args:
        predict: the model.
        images: uint8 or float32 (N, H, W[, C]), as stored in a split.
        whose: name of the model in the error message.
        batch: images per call.

    Returns:
        float32 (N, classes).

    Raises:
        NotFinite: a logit is NaN or infinite.
    """
    found = outputs(predict, images, batch)
    check(found, whose)
    return found


def outputs(predict: Predictor, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """As `logits`, but values that are NaN or infinite are allowed.

    Args:
        predict: the model.
        images: as for `logits`.
        batch: images per call.
    """
    return np.concatenate([predict(images[start : start + batch]) for start in range(0, len(images), batch)])


def notes(predict: Predictor, batch: int = BATCH) -> list[str]:
    """What a scorecard says of figures that were measured in batches of `batch`; empty if the batch has no effect."""
    if not predict.mixes:
        return []
    how = f"in batches of {batch}" if batch > 1 else "one image at a time"
    said = (
        "Ranges of activations come from all images of a call together, so an answer can change with the other images. "
        f"The figures were measured {how}. For answers that can be repeated, run one image at a time."
    )
    return [said]
