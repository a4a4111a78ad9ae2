"""LiteRT files (.tflite), run by the standalone interpreter on the CPU."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from pipeline.errors import ModelError
from pipeline.runtimes.predictor import Predictor


def open_model(path: Path, threads: int = 1) -> Predictor:
    """A predictor over a LiteRT file with one input and one output; its batch follows the images.

    Raises:
        ModelError: the interpreter cannot load the file.
    """
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot load {path}: {error}") from None
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape: tuple[int, ...] = ()

    def run(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        if images.shape != shape:
            interpreter.resize_tensor_input(source["index"], images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"]))

    return Predictor(run)
