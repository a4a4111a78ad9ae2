"""A sum that float32 rounds to the wrong side is put right, and only that."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.onnx_graph import qdq
from octavo.quantization import add_rounding

LEARNED = (0.023822026327252388, 0.059663183987140656, 0.03640466183423996)
"""Scales of a residual network's first sum on MNIST; its second value has zero point 105."""


def residual(scales: tuple[float, ...], zero: int) -> onnx.ModelProto:
    parameters = {name: np.array(scale, np.float32) for name, scale in zip("abs", scales, strict=True)}
    zeros = {"zero": np.array(0, np.uint8), "shifted": np.array(zero, np.uint8)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "a", "zero"], ["dx"]),
        helper.make_node("DequantizeLinear", ["y", "b", "shifted"], ["dy"]),
        helper.make_node("Add", ["dx", "dy"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["relu"]),
        helper.make_node("QuantizeLinear", ["relu", "s", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["logits"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, [None]) for name in "xy"]
    target = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None])
    stored = [numpy_helper.from_array(array, name) for name, array in (parameters | zeros).items()]
    return helper.make_model(helper.make_graph(nodes, "g", ends, [target], stored))


def grids(model: onnx.ModelProto) -> list[np.ndarray]:
    constants = qdq.initializers(model)
    quantizer = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    return [constants[name] for name in ("a", "zero", "b", "shifted", *quantizer.input[1:])]


def misrounded(model: onnx.ModelProto, learned: onnx.ModelProto) -> int:
    return int(np.count_nonzero(add_rounding._computed(*grids(model)) != add_rounding._exact(*grids(learned))))


def test_the_scale_moves_by_no_more_than_it_must() -> None:
    learned, settled = residual(LEARNED, 105), residual(LEARNED, 105)
    assert misrounded(learned, learned) == 1
    add_rounding.settle(settled)
    assert misrounded(settled, learned) == 0
    scale = qdq.initializers(learned)["s"]
    assert 0 < abs(float(grids(settled)[4]) / float(scale) - 1) < 1e-6
    assert qdq.producers(settled)["logits"].input[1] == "s"


def test_sums_that_are_right_stay_as_they_are() -> None:
    model = residual((0.05, 0.06, 0.07), 105)
    before = model.SerializeToString()
    assert misrounded(model, model) == 0
    add_rounding.settle(model)
    assert model.SerializeToString() == before
