"""Run LiteRT files (.tflite) with the standalone interpreter on the CPU.

A file's input and output may be integers, int8 or uint8 with one scale and zero point. Images are then quantized for
the input, and the output is dequantized to logits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from octavo.backends.litert import trial
from octavo.backends.litert.content import tensors
from octavo.backends.predictor import Predictor, Quantization
from octavo.data import input_encoding
from octavo.project.errors import ModelError
from octavo.project.files import damage


def open_model(path: Path, threads: int = 1) -> Predictor:
    """Open a LiteRT file with one input and one output on `threads` threads. Any batch size can be run.

    Raises:
        ModelError: the interpreter cannot load the file or crashes on it; or the file has several inputs or outputs; or
            an input or output is neither float32 nor 8-bit integers with one scale.
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
            shape = ()  # if a run with the new shape fails, the old shape is gone too
            interpreter.resize_tensor_input(source["index"], images.shape)
            interpreter.allocate_tensors()
            shape = images.shape
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        found = np.asarray(interpreter.get_tensor(target["index"]))
        return found if gives is None else gives.real(found)

    metadata = damage.told(tensors.metadata)(path)
    return Predictor(run, input_encoding.declared(metadata, takes_bytes, str(path)), quantization)


def _quantization(path: Path, verb: str, tensor: Mapping[str, Any]) -> Quantization | None:
    """Scale and zero point of the file's input or output; None if it is float32.

    Raises:
        ModelError: it has another type, or it does not have exactly one scale.
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
            f"{path} {verb} {dtype} without one scale and zero point, so the meaning of its integers is unknown. "
            "Convert it again with float32 at this end."
        )
    return Quantization(dtype, float(scale), int(zero))
