"""How near to its source a quantized network can be expected: every value rounded to eight bits in turn, in float.

Some networks amplify rounding errors more than others. What this simulation loses, any quantizer may lose; what a
file loses beyond it is the quantizer's fault.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from tests.contracts.eager_graph import compute

MOVERS = {"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice", "Split"}
OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
STEPS = 255

Values = dict[str, np.ndarray]


def simulate(model: onnx.ModelProto, calibration: np.ndarray, test: np.ndarray, activations: bool) -> np.ndarray:
    """The logits of `test` with weights in 8 bits a channel and, if asked, activations in 8 bits over their range."""
    seen = _run(model, calibration, {})
    return _run(model, test, seen if activations else {}, rounded=True)["logits"]


def sqnr_db(expected: np.ndarray, got: np.ndarray, centred: bool = False) -> float:
    """Power of the expected values (or of their deviations from each output's mean) over that of the error, in dB."""
    wanted = expected.astype(np.float64)
    signal = wanted - wanted.mean(0) if centred else wanted
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.mean(signal**2) / np.maximum(np.mean((got - wanted) ** 2), 1e-30)))


def _run(model: onnx.ModelProto, images: np.ndarray, ranges: Mapping[str, np.ndarray], rounded: bool = False) -> Values:
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    constants = dict(values)
    values["images"] = _on_grid(images, ranges.get("images"))
    for node in model.graph.node:
        held = {name: _weights(node, values[name]) for name in node.input if name in constants} if rounded else {}
        for name, value in zip(node.output, compute(node, values | held), strict=True):
            values[name] = value if node.op_type in MOVERS else _on_grid(value, ranges.get(name))
    return values


def _on_grid(value: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    if seen is None or value.dtype != np.float32:
        return value
    low, high = min(float(np.min(seen)), 0.0), max(float(np.max(seen)), 0.0)
    step = np.float32(1 if low == high else (high - low) / STEPS)
    zero = np.rint(-low / step)
    return ((np.clip(np.rint(value / step) + zero, 0, STEPS) - zero) * step).astype(np.float32)


def _weights(node: onnx.NodeProto, array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32 or array.ndim < 2:
        return array
    axis = OUTPUT_AXIS.get(node.op_type)
    transposed = any(item.name == "transB" and item.i for item in node.attribute)
    others = tuple(
        place for place in range(array.ndim) if axis is None or place != (0 if transposed else axis % array.ndim)
    )
    step = np.abs(array).max(others, keepdims=True) / 127
    return (np.rint(array / np.where(step, step, 1)) * step).astype(np.float32)
