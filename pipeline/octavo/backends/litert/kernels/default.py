"""The kernels that LiteRT's interpreter takes by default."""

from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from octavo.backends.litert import trial

DELEGATE = "DELEGATE"
"""The interpreter's name of an operator that stands for a part of the graph. By default, XNNPACK computes the part."""


def name(path: Path, images: np.ndarray) -> str:
    """The kernels that compute a LiteRT file for these images: XNNPACK, in one part or several, or LiteRT's own.

    Args:
        path: the file.
        images: at least one, in the file's input encoding.

    Raises:
        ModelError: the interpreter cannot load the file.
    """
    trial.check(path)
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    (source,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(source["index"], images[:1].shape)
    interpreter.allocate_tensors()
    operators = interpreter._get_ops_details()  # noqa: SLF001 - nothing public tells which parts are delegated
    parts = sum(operator["op_name"] == DELEGATE for operator in operators)
    if parts < 2:
        return "XNNPACK" if parts else "LiteRT's built-in kernels"
    return f"XNNPACK in {parts} parts"
