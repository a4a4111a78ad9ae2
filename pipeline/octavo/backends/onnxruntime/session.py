"""ONNX files, run by onnxruntime on the CPU with every graph optimization."""

from pathlib import Path

import numpy as np
import onnxruntime
from google.protobuf.message import EncodeError
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from octavo.backends.onnxruntime import exact_sums
from octavo.backends.predictor import Predictor
from octavo.onnx_graph import file_io, session_options
from octavo.project.errors import ModelError

FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.InvalidProtobuf,
    failures.NoSuchFile,
    failures.NotImplemented,
    failures.RuntimeException,
)
EXTERNAL_DATA = "session.optimized_model_external_initializers_file_name"


def open_session(path: Path, threads: int = 1, optimized: Path | None = None) -> onnxruntime.InferenceSession:
    """A session on `threads` threads, with the session options that the file's metadata ask for.

    Where this CPU would cut sums of its products off, they are made exact.

    Where asked, the graph that will run is written to `optimized`, before it is changed for this very CPU, with its
    weights in a second file beside it.

    Raises:
        ModelError: onnxruntime cannot load the file, or its weights lie outside its folder.
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
    except UnicodeDecodeError:  # it quotes a name from the file
        raise ModelError(f"onnxruntime cannot load {path}: a name in it is not UTF-8.") from None


def _exact(session: onnxruntime.InferenceSession, path: Path) -> onnxruntime.InferenceSession:
    try:
        return exact_sums.decided(session, path)
    except (*FAILURES, EncodeError) as error:
        raise ModelError(
            f"onnxruntime loads {path}, but not with {exact_sums.OPTION}, without which its answers on this CPU can be "
            f"wrong: {error}. Run it on a CPU with VNNI, or quantize it again."
        ) from None


def open_model(path: Path, threads: int = 1) -> Predictor:
    """A predictor over an ONNX file with one input and one output.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    session = open_session(path, threads)
    (source,), (target,) = session.get_inputs(), session.get_outputs()

    def run(images: np.ndarray) -> np.ndarray:
        return np.asarray(session.run([target.name], {source.name: images})[0])

    return Predictor(run, takes_bytes=source.type == "tensor(uint8)")
