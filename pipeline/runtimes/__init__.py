"""How a model file runs."""

from pathlib import Path

from pipeline.errors import ModelError
from pipeline.runtimes import litert, onnx
from pipeline.runtimes.predictor import Predictor

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
