"""Run ONNX files with onnxruntime on the CPU, with all graph optimizations."""

from pathlib import Path

import numpy as np
import onnxruntime
from google.protobuf.message import EncodeError
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from octavo.backends.onnxruntime import exact_sums
from octavo.backends.predictor import Predictor
from octavo.data import input_encoding
from octavo.onnx_graph import file_io, session_options
from octavo.project.errors import ModelError
from octavo.tasks.logits import rows

FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)
DYNAMIC = "DynamicQuantizeLinear"
"""The operator that takes one range from all values of a call."""
EXTERNAL_DATA = "session.optimized_model_external_initializers_file_name"


def open_session(path: Path, threads: int = 1, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """A session with the options that the file's metadata ask for, and with exact sums if this CPU needs them.

    Args:
        path: the ONNX file.
        threads: number of threads of the session.
        optimized: where to write the graph that will run, before optimizations that are specific to this CPU. Its
            weights go to a second file next to it. Such a session has no exact sums.

    Raises:
        ModelError: onnxruntime cannot load the file, or its weights are outside its folder.
    """
    file_io.external_data(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = _create(path, options)
    asked = session_options.asked(session.get_modelmeta().custom_metadata_map)
    if not asked and optimized is None:
        return _exact(session, path)
    del session
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
        options.add_session_config_entry(EXTERNAL_DATA, f"{optimized.name}.data")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session_options.apply(options, asked)
    session = _create(path, options)
    return session if optimized is not None else _exact(session, path)


def _create(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise ModelError(f"onnxruntime cannot load {path}: {error}") from None
    except UnicodeDecodeError:  # onnxruntime quotes a name from the file
        raise ModelError(f"onnxruntime cannot load {path}: a name in it is not UTF-8.") from None


def _exact(session: onnxruntime.InferenceSession, path: Path) -> onnxruntime.InferenceSession:
    try:
        return exact_sums.decided(session, path)
    except (*FAILURES, EncodeError) as error:
        raise ModelError(
            f"onnxruntime loads {path}, but not with {exact_sums.OPTION}, without which its outputs on this CPU can be "
            f"wrong: {error}. Run it on a CPU with VNNI, or quantize it again."
        ) from None


def open_model(path: Path, threads: int = 1) -> Predictor:
    """Open an ONNX file with one input and one output on `threads` threads.

    Raises:
        ModelError: as `open_session`.
    """
    session = open_session(path, threads)
    (source,), (target,) = session.get_inputs(), session.get_outputs()

    def run(images: np.ndarray) -> np.ndarray:
        return rows(np.asarray(session.run([target.name], {source.name: images})[0]))

    metadata = session.get_modelmeta().custom_metadata_map
    encoding = input_encoding.declared(metadata, source.type == "tensor(uint8)", str(path))
    return Predictor(run, encoding, mixes=file_io.has_operator(path, DYNAMIC))
