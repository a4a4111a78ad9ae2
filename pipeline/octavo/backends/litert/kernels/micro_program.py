"""Run a LiteRT file with TFLite Micro. A program: model, images (.npy), outputs (.npy)."""

import sys

import numpy as np
from tflite_micro import runtime

ARENA = 2**28
"""Bytes for activations. The default, ten times the file's size, is too little for a small file and large images."""


def main(model: str, images: str, outputs: str) -> None:
    """Write the file's raw outputs for each image, one after the other.

    Args:
        model: path of the file.
        images: path of an array in the file's input encoding.
        outputs: path to write to.
    """
    interpreter = runtime.Interpreter.from_file(model, arena_size=ARENA)
    found = []
    for image in np.load(images, allow_pickle=False):
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        found.append(interpreter.get_output(0).copy())
    np.save(outputs, np.concatenate(found))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, RuntimeError) as error:
        sys.exit(str(error))
