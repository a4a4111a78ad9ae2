"""The representative dataset, as onnxruntime's calibrators want to read it."""

from collections.abc import Iterator

import numpy as np
from onnxruntime.quantization import CalibrationDataReader


class Reader(CalibrationDataReader):
    """Feeds float32 images (N, H, W[, C]) to a calibrator, `batch_size` at a time."""

    def __init__(self, images: np.ndarray, input_name: str, batch_size: int = 1) -> None:
        self._feeds: Iterator[dict[str, np.ndarray]] = (
            {input_name: images[start : start + batch_size]} for start in range(0, len(images), batch_size)
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)
