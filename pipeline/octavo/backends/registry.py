"""How a model file runs."""

from pathlib import Path

from octavo.backends.onnxruntime import session
from octavo.backends.predictor import Predictor
from octavo.project import extras
from octavo.project.errors import ModelError

try:
    from octavo.backends.litert import interpreter
except ModuleNotFoundError as fault:
    interpreter = extras.absent(fault)

RUNTIMES = {".onnx": session, ".tflite": interpreter}


def open_model(path: Path, threads: int = 1) -> Predictor:
    """Open a model file for running on the CPU.

    Raises:
        ModelError: the file is missing, unreadable or of an unknown format.
        ModuleNotFoundError: the runtime is an extra, which is not installed.
    """
    if path.suffix not in RUNTIMES:
        raise ModelError(f"No runtime for {path}. Known: {', '.join(RUNTIMES)}.")
    if not path.is_file():
        raise ModelError(f"No model file {path}. Run dvc repro.")
    return RUNTIMES[path.suffix].open_model(path, threads)
