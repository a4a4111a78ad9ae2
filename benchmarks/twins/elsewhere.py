"""Run a LiteRT file in runtimes that Octavo does not have, each in a process of its own."""

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

TFLITE_MICRO, OPENVINO = "tflite_micro", "openvino"
PROGRAMS = Path(__file__).parent
TIME_LIMIT = 600
REASON = 200
"""Last characters of what a runtime said when it failed."""
ARENA = re.compile(r"Arena allocation total (\d+) bytes")


class Elsewhere:
    """What came of it: the file's raw `outputs`, or the `fault`; and the `arena` in bytes where it is told."""

    def __init__(self, fault: str = "", outputs: np.ndarray | None = None, arena: int | None = None) -> None:
        self.fault, self.outputs, self.arena = fault, outputs, arena


def run(runtime: str, python: str, path: Path, images: np.ndarray) -> Elsewhere:
    """Run the file on every image.

    Args:
        runtime: one of those above.
        python: an interpreter that has it, or has not.
        path: the file.
        images: (N, ...) in the file's input encoding.
    """
    with TemporaryDirectory() as folder:
        fed, got = Path(folder, "images.npy"), Path(folder, "outputs.npy")
        np.save(fed, images)
        command = [python, str(PROGRAMS / f"in_{runtime}.py"), str(path.absolute()), str(fed), str(got)]
        try:
            done = subprocess.run(
                command, capture_output=True, encoding="utf-8", errors="replace", timeout=TIME_LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return Elsewhere(f"not done after {TIME_LIMIT} s")
        if done.returncode:
            said = " ".join(done.stderr.split())[-REASON:]
            return Elsewhere(said or f"ended with {done.returncode}")
        arena = ARENA.search(done.stderr)
        return Elsewhere("", np.load(got), int(arena[1]) if arena else None)
