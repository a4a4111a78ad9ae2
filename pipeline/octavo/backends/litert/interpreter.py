"""LiteRT files (.tflite), run by the standalone interpreter on the CPU.

Either end of a file may be integers, int8 or uint8 with one scale and zero point: images are rounded to those of the
input, and logits are what those of the output stand for.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from octavo.backends.litert import trial
from octavo.backends.predictor import Predictor, Quantization
from octavo.project.errors import ModelError


def open_model(path: Path, threads: int = 1) -> Predictor:
    """A predictor over a LiteRT file with one input and one output; its batch follows the images.

    Raises:
        ModelError: the interpreter cannot load the file or crashes on it; it has several inputs or outputs, or they are
            neither float32 nor 8-bit integers with one scale.
    """
    trial.check(path)
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot load {path}: {error}") from None
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) != 1 or len(targets) != 1:
        raise ModelError(
            f"{path} has {len(sources)} inputs and {len(targets)} outputs; a classifier has one each. "
            "Export one signature with one of each."
        )
    (source,), (target,) = sources, targets
    takes_bytes = source["dtype"] == np.uint8 and not source["quantization"][0]
    quantization = None if takes_bytes else _quantization(path, "takes", source)
    gives = _quantization(path, "gives", target)
    shape: tuple[int, ...] = ()

    def run(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        if images.shape != shape:
            shape = ()  # if the file does not run with the new one, it does not with the old one either
            interpreter.resize_tensor_input(source["index"], images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        found = np.asarray(interpreter.get_tensor(target["index"]))
        return found if gives is None else gives.real(found)

    return Predictor(run, takes_bytes, quantization)


def _quantization(path: Path, verb: str, tensor: Mapping[str, Any]) -> Quantization | None:
    """What the integers at one end of the file stand for; None where it is float32.

    Raises:
        ModelError: it is of another type, or has no scale or several.
    """
    dtype, (scale, zero) = np.dtype(tensor["dtype"]), tensor["quantization"]
    if dtype == np.float32:
        return None
    if dtype not in (np.int8, np.uint8):
        raise ModelError(
            f"{path} {verb} {dtype}; allowed are float32, int8 and uint8. Convert it again with float32 at this end."
        )
    if not scale or len(tensor["quantization_parameters"]["scales"]) != 1:
        raise ModelError(
            f"{path} {verb} {dtype} without one scale and zero point, so that nobody knows what its integers mean. "
            "Convert it again with float32 at this end."
        )
    return Quantization(dtype, float(scale), int(zero))
