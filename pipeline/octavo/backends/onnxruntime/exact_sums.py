"""Sums of integer products as they should be: onnxruntime is asked for them where its kernels would cut some off.

Where CPUs add products in pairs of 16 bits (see `integer_weights`), the session option `OPTION` makes onnxruntime use
kernels that add in 32 bits. They are slower, and onnxruntime applies the option on CPUs that cut nothing off, too. So
a file does not ask for it: whoever opens the file decides, by what the kernels do on this CPU and by its weights.

It is saved with registered models (`octavo_mlflow.flavors.bundled_code`), and imports only what is saved beside it.
"""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from . import integer_weights

OPTION = "session.x64quantprecision"
IN_FLOAT = "session.disable_quant_qdq"
"""With this option what is dequantized computes in float."""
FOLDER = "session.model_external_initializers_file_folder_path"
"""Where the external data of a model in memory lie."""
CHANNELS = 16
SUM = CHANNELS * 255 * 127
"""Of the largest products of a uint8 and an int8; two of them do not fit into 16 bits."""
STEPS = 200
"""What a convolution makes of `SUM` on its output's grid."""


def decided(session: onnxruntime.InferenceSession, path: Path) -> onnxruntime.InferenceSession:
    """The session on the file at `path` as it has to run on this CPU: with exact sums where, and only where, needed.

    Args:
        session: made from that file with any options; one that sets `OPTION` is treated as one that does not.
        path: the file, with its external data beside it.

    Raises:
        EncodeError: the weights that the file holds itself, with a copy for each reader, are more than 2 GB.
        Exception: one of onnxruntime's own, as `onnxruntime.InferenceSession` raises them.
    """
    options = session.get_session_options()
    if cut_off_here():
        model = onnx.load(path, load_external_data=False)
        if integer_weights.can_be_cut_off(model, _is_set(options, IN_FLOAT), path.parent):
            options.add_session_config_entry(OPTION, "1")
            options.add_session_config_entry(FOLDER, str(path.parent))
            integer_weights.separate(model.graph)
            return onnxruntime.InferenceSession(model.SerializeToString(), options, session.get_providers())
    if not _is_set(options, OPTION):
        return session
    options.add_session_config_entry(OPTION, "0")
    return onnxruntime.InferenceSession(path, options, session.get_providers())


@cache
def cut_off_here() -> bool:
    """Whether onnxruntime's kernels cut sums off on this CPU: found by letting them add the largest products.

    That takes a few milliseconds, once a process, and follows the kernels that onnxruntime chose, whatever a CPU or an
    emulator says of itself. Where onnxruntime cannot run the trial, sums count as cut off: that costs time at worst.
    """
    images = [np.full((n, CHANNELS, 1, 1), 255, np.uint8) for n in (1, 8)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(_trial().SerializeToString(), options, ["CPUExecutionProvider"])
        results = [session.run(["sums", "steps"], {"images": batch}) for batch in images]
    except Exception:  # noqa: BLE001  # onnxruntime has a class of its own for each kind of failure
        return True
    return any((sums != SUM).any() or (steps != STEPS).any() for sums, steps in results)


def _trial() -> onnx.ModelProto:
    """Images, uint8 (N, CHANNELS, 1, 1), through a dense layer and through a convolution, both of weights of 127."""
    stored: dict[str, np.ndarray] = {
        "dense": np.full((CHANNELS, CHANNELS), 127, np.int8),
        "kernel": np.full((CHANNELS, CHANNELS, 1, 1), 127, np.int8),
        "one": np.array(1, np.float32),
        "step": np.array(SUM / STEPS, np.float32),
        "zero": np.array(0, np.uint8),
        "weight zero": np.array(0, np.int8),
    }
    convolution = ["images", "one", "zero", "kernel", "one", "weight zero", "step", "zero"]
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["rows"]),
            helper.make_node("MatMulInteger", ["rows", "dense"], ["sums"]),
            helper.make_node("QLinearConv", convolution, ["steps"]),
        ],
        "trial",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [None, CHANNELS, 1, 1])],
        [
            helper.make_tensor_value_info("sums", TensorProto.INT32, [None, CHANNELS]),
            helper.make_tensor_value_info("steps", TensorProto.UINT8, [None, CHANNELS, 1, 1]),
        ],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _is_set(options: onnxruntime.SessionOptions, name: str) -> bool:
    try:
        return bool(options.get_session_config_entry(name) == "1")
    except RuntimeError:  # onnxruntime's way to say that it has not been set
        return False
