"""Sums of two quantized values, rounded as they should be.

onnxruntime adds in float32. Of the 65,536 pairs of two uint8 values one or two may lie so near the middle between two
steps that float32 falls on the wrong side, and images are full of equal pixels: on MNIST one such pair was 0.65% of a
residual network's sums, and nine of ten images had other logits than in LiteRT. A scale that is another by a few units
in its last place, for rounding alone, puts the pair on the right side.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from octavo.onnx_graph import qdq

UNITS = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Distances to the learned scale that are tried, in units in its last place; of equals the nearest is taken."""
ENDS = ["DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]
FIRST, SECOND = (places.ravel().astype(np.uint8) for places in np.indices((256, 256)))
"""Every pair of two uint8 values."""


def settle(model: onnx.ModelProto) -> None:
    """Choose the scale that each quantized Add is rounded at, in place; it is dequantized at the learned one."""
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
    """The sum of every pair, uint8 (65536,); scale and zero point of both values and of the sum are given."""
    first_scale, first_zero, second_scale, second_zero, scale, zero = (grid.astype(np.float64) for grid in grids)
    real = (FIRST - first_zero) * first_scale + (SECOND - second_zero) * second_scale
    return np.clip(np.floor(real / scale + 0.5) + zero, 0, 255).astype(np.uint8)


def _computed(*grids: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of them."""
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
