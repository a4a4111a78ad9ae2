"""ONNX files, run by onnxruntime on the CPU with every graph optimization."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from pipeline.errors import ModelError


def open_session(path: Path, threads: int = 1, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """A session on `threads` threads; the graph as it will run is written to `optimized` where asked.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NoSuchFile,
        failures.NotImplemented,
        failures.RuntimeException,
    ) as error:
        raise ModelError(f"onnxruntime cannot load {path}: {error}") from None


def open_model(path: Path, threads: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """A predictor over an ONNX file with one input and one output.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    session = open_session(path, threads)
    (source,), (target,) = session.get_inputs(), session.get_outputs()

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([target.name], {source.name: images})[0])

    return predict
