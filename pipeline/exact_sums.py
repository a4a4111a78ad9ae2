"""Sums of integer products as they should be: onnxruntime is asked for them where its kernels would cut some off.

On x86 CPUs without VNNI the kernels for uint8 activations and int8 weights add products in pairs of 16 bits and cut
off what does not fit (see `saturation`). The session option `OPTION` makes onnxruntime add in 32 bits. It costs time,
and onnxruntime applies it on CPUs with VNNI too, where nothing is cut off; so a file does not ask for it: whoever
opens the file decides, by what the kernels do on this CPU.
"""

from functools import cache

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPTION = "session.x64quantprecision"
CHANNELS = 16
SUM = CHANNELS * 255 * 127
"""Of the largest products of a uint8 and an int8; two of them do not fit into 16 bits."""
STEPS = 200
"""What a convolution makes of `SUM` on its output's grid."""


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
