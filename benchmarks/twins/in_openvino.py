"""Run a LiteRT file in OpenVINO: `python in_openvino.py FILE IMAGES.npy OUTPUTS.npy`.

It runs in an interpreter that need not have Octavo.
"""

import sys

import numpy as np

try:
    import openvino  # type: ignore[import-not-found]
except ImportError:
    sys.exit("not installed")


def run(path: str, images: np.ndarray) -> np.ndarray:
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({model.input(0): openvino.PartialShape([1, *images.shape[1:]])})
    compiled = core.compile_model(model, "CPU")
    return np.concatenate([compiled([image[np.newaxis]])[0] for image in images])


if __name__ == "__main__":
    np.save(sys.argv[3], run(sys.argv[1], np.load(sys.argv[2])))
