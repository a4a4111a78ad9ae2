"""Answers of model files, by Octavo's runtime and by onnxruntime alone: python -m tests.emulated FOLDER…

In each FOLDER `images.npy` are asked of every `.onnx` file. Beside a file `MODEL.npz` has the logits of both, and
whether this CPU, which may be an emulated one, cuts sums off.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from octavo.backends.onnxruntime import exact_sums
from octavo.backends.registry import open_model


def main(*folders: Path) -> None:
    for path in (path for folder in folders for path in folder.glob("*.onnx")):
        octavo, images = open_model(path), np.load(path.with_name("images.npy"))
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        alone = session.run(None, {session.get_inputs()[0].name: octavo.feed(images)})[0]
        np.savez(path.with_suffix(".npz"), octavo=octavo(images), alone=alone, cut_off=exact_sums.cut_off_here())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
