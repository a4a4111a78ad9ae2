"""Run a LiteRT file in TFLite Micro: `python in_tflite_micro.py FILE IMAGES.npy OUTPUTS.npy`.

Images are run one by one, as they are. What TFLite Micro says of its arena goes to stderr. It runs in an interpreter
that need not have Octavo.
"""

import sys
from pathlib import Path

import numpy as np

try:
    from tflite_micro.python.tflite_micro import runtime
except ImportError:
    sys.exit("not installed")

ARENA = 64 * 2**20
"""Bytes that it may take."""


def run(path: Path, images: np.ndarray) -> np.ndarray:
    interpreter = runtime.Interpreter.from_file(str(path), arena_size=ARENA)
    outputs = []
    for image in images:
        interpreter.set_input(image[np.newaxis], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).copy())
    interpreter.print_allocations()
    return np.concatenate(outputs)


if __name__ == "__main__":
    np.save(sys.argv[3], run(Path(sys.argv[1]), np.load(sys.argv[2])))
