"""How a model file runs. A predictor maps float32 images (N, H, W[, C]) to logits (N, classes), whatever the format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.errors import ModelError
from pipeline.runtimes import litert, onnx

Predictor = Callable[[np.ndarray], np.ndarray]

RUNTIMES = {".onnx": onnx.open_model, ".tflite": litert.open_model}


def open_model(path: Path, threads: int = 1) -> Predictor:
    """Open a model file for running on the CPU.

    Raises:
        ModelError: the file is missing, unreadable or of an unknown format.
    """
    if path.suffix not in RUNTIMES:
        raise ModelError(f"No runtime for {path}. Known: {', '.join(RUNTIMES)}.")
    if not path.is_file():
        raise ModelError(f"No model file {path}. Run dvc repro.")
    return RUNTIMES[path.suffix](path, threads)
