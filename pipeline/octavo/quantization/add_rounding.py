"""Make onnxruntime round the sum of two quantized values correctly.

onnxruntime adds in float32. For one or two of the 65,536 pairs of uint8 values the sum may lie so close to the middle
between two steps that float32 rounds it to the wrong one. Images contain many equal pixels, so this matters: on MNIST
one such pair was 0.65% of all sums in a residual network, and nine of ten images got other logits than in LiteRT. A
change of the output scale by a few units in the last place, used for rounding only, corrects the pair.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from octavo.onnx_graph import qdq

UNITS = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Distances from the learned scale to try, in units in the last place. Of equally good ones the smallest is taken."""
ENDS = ["DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]
FIRST, SECOND = (places.ravel().astype(np.uint8) for places in np.indices((256, 256)))
"""Every pair of two uint8 values."""


def settle(model: onnx.ModelProto) -> None:
    """Choose the scale that the output of each quantized Add is rounded with, in place.

    Dequantization keeps the learned scale.
    """
    constants, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    for node in [node for node in model.graph.node if node.op_type == "Add"]:
        reader = node
        while (reader is node or reader.op_type in qdq.CLIPS) and reader.output[0] in readers:
            reader = readers[reader.output[0]][0]
        ends = [*(makers.get(name, node) for name in node.input), reader]
        if [end.op_type for end in ends] != ENDS:
            continue
        *grids, scale, zero = (constants[name] for end in ends for name in end.input[1:])
        wanted = _exact(*grids, scale, zero)
        near = [(scale.view(np.int32) + units).view(np.float32) for units in UNITS]
        best = min(near, key=lambda other: np.count_nonzero(_computed(*grids, other, zero) != wanted))
        if best != scale:
            reader.input[1] = f"{reader.output[0]}/scale"
            model.graph.initializer.append(numpy_helper.from_array(best, reader.input[1]))


def _exact(*grids: np.ndarray) -> np.ndarray:
    """The exact sum of every pair, uint8 (65536,), from scale and zero point of both values and of the sum."""
    first_scale, first_zero, second_scale, second_zero, scale, zero = (grid.astype(np.float64) for grid in grids)
    real = (FIRST - first_zero) * first_scale + (SECOND - second_zero) * second_scale
    return np.clip(np.floor(real / scale + 0.5) + zero, 0, 255).astype(np.uint8)


def _computed(*grids: np.ndarray) -> np.ndarray:
    """The same sums, uint8 (65536,), as onnxruntime computes them."""
    names = ["first_scale", "first_zero", "second_scale", "second_zero", "scale", "zero"]
    inputs = ["first", *names[:2], "second", *names[2:]]
    graph = helper.make_graph(
        [helper.make_node("QLinearAdd", inputs, ["sum"], domain="com.microsoft")],
        "sums",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, [None]) for name in ("first", "second")],
        [helper.make_tensor_value_info("sum", TensorProto.UINT8, [None])],
        [numpy_helper.from_array(grid, name) for grid, name in zip(grids, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"first": FIRST, "second": SECOND})[0])
