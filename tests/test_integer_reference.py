"""The reference is onnxruntime to the last bit, operator by operator, on random integers."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.quantization.rounding import sums
from tests import integer_reference as reference

RANDOM = np.random.default_rng(0)
CASES: dict[str, tuple[str, tuple[int, ...] | None, dict[str, Any]]] = {
    "convolution": ("Conv", (6, 4, 3, 3), {"strides": [2, 2], "pads": [0, 1, 1, 1]}),
    "depthwise": ("Conv", (8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "grouped": ("Conv", (6, 2, 1, 1), {"group": 2}),
    "dense": ("Gemm", (28, 5), {}),
    "product": ("MatMul", (28, 5), {}),
    "sum": ("Add", None, {}),
    "global average": ("GlobalAveragePool", None, {}),
    "average": ("AveragePool", None, {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}),
    "maximum": ("MaxPool", None, {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 0, 0]}),
}


@pytest.mark.parametrize("clip", [None, "Relu", "Clip"])
@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_onnxruntime_does(case: str, clip: str | None) -> None:
    model = graph(*CASES[case], clip)
    images = RANDOM.uniform(0, 1, (100, 28) if CASES[case][0] in ("Gemm", "MatMul") else (100, 4, 7, 6))
    images = images.astype(np.float32)
    expected = open_probe(model).run(None, {"images": images})[0]
    assert len(np.unique(expected)) > 5
    np.testing.assert_array_equal(reference.logits(model, images, reference.ONNXRUNTIME), expected)


def test_it_adds_every_pair_as_onnxruntime_does() -> None:
    """Few pairs tell one order of float32 operations from another."""
    for _ in range(20):
        scales, zeros = RANDOM.uniform(0.01, 0.1, 3).astype(np.float32), RANDOM.integers(0, 256, 3).astype(np.uint8)
        first, second, (scale, zero) = ((np.array(scales[place]), np.array(zeros[place])) for place in range(3))
        values = (reference.Quantized(sums.FIRST, *first), reference.Quantized(sums.SECOND, *second))
        grids = sums.Addition(*first, *second, scale, zero)
        added = reference.quantize(reference.add(*values), scale, zero)
        np.testing.assert_array_equal(added, sums._onnxruntime(grids))


def graph(
    operator: str, weight: tuple[int, ...] | None, attributes: dict[str, Any], clip: str | None
) -> onnx.ModelProto:
    """From images over Q/DQ, operator, clip and Q/DQ to logits; a sum's second value is images on another grid."""
    stored: dict[str, np.ndarray] = {}
    nodes: list[onnx.NodeProto] = []

    def pair(value: str, name: str, scale: float, zero: int) -> None:
        stored[f"{name}/s"], stored[f"{name}/z"] = np.array(scale, np.float32), np.array(zero, np.uint8)
        grid = [f"{name}/s", f"{name}/z"]
        nodes.append(helper.make_node("QuantizeLinear", [value, *grid], [f"{name}/q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}/q", *grid], [name]))

    inputs, scale, zero = ["a"], 0.0043, 9
    pair("images", "a", 0.0041, 3)
    if operator == "Add":
        pair("images", "b", 0.0057, 77)
        inputs, scale = ["a", "b"], 0.0081
    if weight:
        channels, axis = (weight[0], 0) if operator == "Conv" else (weight[1], 1)
        stored["w"] = RANDOM.integers(-127, 128, weight).astype(np.int8)
        stored["w/s"], stored["w/z"] = RANDOM.uniform(0.005, 0.01, channels), np.zeros(channels, np.int8)
        stored["bias"] = RANDOM.normal(size=channels)
        stored |= {name: stored[name].astype(np.float32) for name in ("w/s", "bias")}
        nodes.append(helper.make_node("DequantizeLinear", ["w", "w/s", "w/z"], ["weights"], axis=axis))
        inputs, scale, zero = ["a", "weights", "bias"][: 2 if operator == "MatMul" else 3], 0.0123, 113
    if operator == "MaxPool":
        scale, zero = 0.0041, 3
    nodes.append(helper.make_node(operator, inputs, ["made"], **attributes))
    if clip:
        zero = 0
        if clip == "Clip":
            stored["low"], stored["high"] = np.array(0, np.float32), np.array(6, np.float32)
        nodes.append(helper.make_node(clip, ["made", "low", "high"][: 3 if clip == "Clip" else 1], ["clipped"]))
    pair(nodes[-1].output[0], "logits", scale, zero)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("images", "logits")]
    initializers = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
