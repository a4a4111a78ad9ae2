"""The outputs of a LiteRT file from other kernels than the default ones, each set in a process of its own.

TFLite Micro ends the process on a file that it cannot run, and reference kernels check less than XNNPACK does.
"""

import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from octavo.backends.litert import inspection, trial
from octavo.backends.predictor import Quantization
from octavo.project.files import npy_file

IMPORTED_BY_NAME = ("octavo.backends.litert.kernels.*_program",)
"""The programs that the processes run."""
PROGRAMS = {
    "reference kernels": ("reference_program", "ai_edge_litert"),
    "TFLite Micro": ("micro_program", "tflite_micro"),
}
"""Set of kernels -> its program, and the module that must be installed."""
PATIENCE = 1800
"""Seconds that one set may take."""
LONGEST = 300
"""Characters of a program's message that are kept."""
SOURCE = re.compile(r"^\S+\.(?:cc|cpp|h)(?::\d+)? ")
"""The place in the source code that TFLite Micro puts before a message."""


def outputs(path: Path, images: np.ndarray) -> dict[str, np.ndarray | str]:
    """Set of kernels -> outputs, float32 (N, ...), or the reason why the set gives none.

    A set whose library is not installed is left out.

    Args:
        path: the file.
        images: (N, ...) in the file's input encoding.

    Raises:
        ModelError: the file cannot be read.
    """
    trial.check(path)
    end = inspection.interface(path).output
    found: dict[str, np.ndarray | str] = {}
    for name, (program, library) in PROGRAMS.items():
        if find_spec(library) is not None:
            raw = _run(Path(__file__).with_name(f"{program}.py"), path, images)
            if not isinstance(raw, str) and end.scale is not None and end.zero is not None:
                raw = Quantization(np.dtype(end.dtype), end.scale, end.zero).real(raw)
            found[name] = raw
    return found


def _run(program: Path, path: Path, images: np.ndarray) -> np.ndarray | str:
    """The raw outputs, or the reason why there are none."""
    with TemporaryDirectory() as folder:
        given, written = Path(folder, "images.npy"), Path(folder, "outputs.npy")
        np.save(given, images)
        command = [sys.executable, "-P", str(program), str(path.absolute()), str(given), str(written)]
        try:
            ended = subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return f"{len(images)} images took longer than {PATIENCE // 60} minutes"
        if ended.returncode:
            return _reason(ended.returncode, ended.stderr.decode(errors="replace"))
        return npy_file.read(written)


def _reason(code: int, said: str) -> str:
    """Why a program failed: what it said, and the signal that ended it."""
    lines = [SOURCE.sub("", line).strip().rstrip(".") for line in said.splitlines()]
    told = "; ".join(line for line in lines if line and not line.startswith(("INFO", "WARNING")))[:LONGEST]
    if code > 0:
        return told or f"exit code {code}"
    crash = f"it crashes ({signal.Signals(-code).name})"
    return f"{crash}: {told}" if told else crash
