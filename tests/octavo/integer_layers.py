"""Layers in QDQ form with int8 weights: pairs that share what they are told to, and single ones of every kind."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 24
IMAGES = np.random.default_rng(0).normal(scale=3, size=(9, SIZE)).astype(np.float32)
SHARINGS = {
    "nothing": {},
    "zero points": {"zero/1": "zero/0"},
    "weights": {"weights/1": "weights/0"},
    "a whole layer": {"weights/1": "weights/0", "zero/1": "zero/0", "real/1": "real/0"},
}
"""What two dense layers of one width have in common: names of the second's values, and of the first's."""


def two_layers(shared: dict[str, str], largest: int = 127) -> onnx.ModelProto:
    """Two dense layers in QDQ form, with int8 weights up to `largest`."""
    stored: dict[str, np.ndarray] = {"step": np.array(0.05, np.float32), "middle": np.array(128, np.uint8)}
    nodes, random = [], np.random.default_rng(1)

    def pair(value: str, name: str) -> None:
        grid = ["step", "middle"]
        nodes.append(helper.make_node("QuantizeLinear", [value, *grid], [f"{name}/integers"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}/integers", *grid], [name]))

    pair("x", "in/0")
    for layer in (0, 1):
        weights, scale, zero, real = (
            shared.get(f"{part}/{layer}", f"{part}/{layer}") for part in ("weights", "scale", "zero", "real")
        )
        stored[weights] = random.integers(-largest, largest + 1, (SIZE, SIZE)).astype(np.int8)
        stored[scale], stored[zero] = random.uniform(0.001, 0.002, SIZE).astype(np.float32), np.zeros(SIZE, np.int8)
        if real == f"real/{layer}":
            nodes.append(helper.make_node("DequantizeLinear", [weights, scale, zero], [real], axis=1))
        nodes.append(helper.make_node("MatMul", [f"in/{layer}", real], [f"sum/{layer}"]))
        pair(f"sum/{layer}", "y" if layer else "in/1")
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", SIZE])],
        [numpy_helper.from_array(array, name) for name, array in stored.items() if name in used],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def drawn(random: np.random.Generator, small_neighbours: bool) -> tuple[onnx.ModelProto, np.ndarray]:
    """One layer of a kind drawn at random, and images for it of shape (3, …), float32 integers 0..255.

    Neighbours in a sum, which runs over pixels of the kernel and, within each, over channels, are drawn so that both
    together are at most 128, the first of each pair alone large; or so that all weights are large.
    """
    operator = random.choice(["MatMul", "Gemm", "Conv"])
    outputs, channels = random.integers(1, 20), random.integers(1, 9)
    kernel = tuple(random.integers(1, 4, random.integers(1, 4))) if operator == "Conv" else ()
    weights = random.integers(65, 128, (outputs, *kernel, channels))
    if small_neighbours:
        flat = weights.reshape(outputs, -1)
        flat[:, 1::2] = 128 - flat[:, : flat.shape[1] // 2 * 2 : 2]
        flat[random.random(outputs) < 0.5] *= -1
    attributes: dict[str, Any] = {}
    groups = 1
    if operator == "Conv":
        groups = attributes["group"] = int(outputs if random.random() < 0.5 else 1)
        weights = np.moveaxis(weights, -1, 1)
    elif operator == "Gemm" and random.random() < 0.5:
        attributes["transB"] = 1
    else:
        weights = weights.T
    size = [pixels + random.integers(3) for pixels in kernel]
    images = random.integers(0, 256, (3, groups * channels, *size)).astype(np.float32)
    images[0] = 255
    return layer(str(operator), weights.astype(np.int8), images.shape, attributes), images


def layer(operator: str, weights: np.ndarray, shape: tuple[int, ...], attributes: dict[str, Any]) -> onnx.ModelProto:
    """From x, integers in float32 of that shape, through one operator with these weights, all at scale 1."""
    reach = 255 * np.abs(weights.astype(int)).sum() / min(len(weights), weights[0].size)
    stored: dict[str, np.ndarray] = {
        "weights": weights,
        "one": np.array(1, np.float32),
        "none": np.array(0, np.int8),
        "zero": np.array(0, np.uint8),
        "step": np.array(reach / 100, np.float32),
        "middle": np.array(128, np.uint8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "one", "zero"], ["images"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "none"], ["real"]),
        helper.make_node(operator, ["images", "real"], ["sums"], **attributes),
        helper.make_node("QuantizeLinear", ["sums", "step", "middle"], ["steps"]),
        helper.make_node("DequantizeLinear", ["steps", "step", "middle"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
