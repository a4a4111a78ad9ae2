"""Ask onnxruntime for exact sums of integer products if its kernels would saturate.

Some CPUs add pairs of products in 16 bits (see `integer_weights`). There, the session option `OPTION` makes onnxruntime
use kernels that add in 32 bits. They are slower, and onnxruntime applies the option also on CPUs that do not saturate.
So a file does not ask for the option. It is decided when the file is opened, from what the kernels do on this CPU and
from the file's weights.

This module is saved with registered models (`octavo_mlflow.flavors.bundled_code`), so it imports only modules that are
saved with it.
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
"""With this option, operators on dequantized values compute in float."""
FOLDER = "session.model_external_initializers_file_folder_path"
"""Names the folder of the external data of a model in memory."""
CHANNELS = 16
SUM = CHANNELS * 255 * 127
"""Sum of the largest products of a uint8 and an int8. Two of these products do not fit into 16 bits."""
STEPS = 200
"""`SUM` as a quantized value of the convolution's output."""


def decided(session: onnxruntime.InferenceSession, path: Path) -> onnxruntime.InferenceSession:
    """A session that is correct on this CPU: with exact sums if they are needed, and without them otherwise.

    Args:
        session: made from the file with any options. Its value of `OPTION` is ignored.
        path: the ONNX file, with its external data in the same folder.

    Returns:
        `session` itself if exact sums are neither needed nor set in it, else a new session with the same providers.

    Raises:
        EncodeError: the weights inside the file, with one copy per reader, are more than 2 GB.
        Exception: an error of onnxruntime, as `onnxruntime.InferenceSession` raises it.
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
    """Whether onnxruntime's kernels saturate sums on this CPU. They are tested with the largest products.

    The test takes a few milliseconds, once per process. It shows what the chosen kernels really do, whatever a CPU or
    an emulator reports about itself. If onnxruntime cannot run the test, the answer is True: at worst this costs time.
    """
    images = [np.full((n, CHANNELS, 1, 1), 255, np.uint8) for n in (1, 8)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(_trial().SerializeToString(), options, ["CPUExecutionProvider"])
        results = [session.run(["sums", "steps"], {"images": batch}) for batch in images]
    except Exception:  # noqa: BLE001  # onnxruntime has one exception class per kind of failure
        return True
    return any((sums != SUM).any() or (steps != STEPS).any() for sums, steps in results)


def _trial() -> onnx.ModelProto:
    """A model that maps images, uint8 (N, CHANNELS, 1, 1), through a dense layer and through a convolution.

    All weights are 127.
    """
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
    except RuntimeError:  # raised if the option has not been set
        return False
