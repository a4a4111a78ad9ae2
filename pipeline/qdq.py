"""QuantizeLinear/DequantizeLinear in an ONNX graph: the pieces that recipes put models together from.

Conventions of the ONNX operators: real = scale * (integer - zero point); weights are int8 with zero point 0, biases
int32 at input scale times weight scale, activations uint8. Zero points are always written: without them onnxruntime
silently stops fusing.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

WEIGHT_INPUT = 1
BIAS_INPUT = 2
OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1}
"""Axis of the output channels in each operator's weight."""


@dataclass(frozen=True)
class Grid:
    """Integers and their scale: a float32 array per channel along `axis`, or a scalar where `axis` is None."""

    integers: np.ndarray
    scale: np.ndarray
    axis: int | None


def nearest(weights: np.ndarray, axis: int | None) -> Grid:
    """Symmetric int8 with the largest magnitude of each channel (or of all, where `axis` is None) at 127."""
    axis = None if axis is None else axis % weights.ndim
    others = tuple(other for other in range(weights.ndim) if other != axis)
    peak = np.abs(weights).max(axis=None if axis is None else others)
    scale = np.where(peak > 0, peak / 127, 1).astype(np.float32)
    shaped = scale if axis is None else np.expand_dims(scale, others)
    return Grid(np.clip(np.rint(weights / shaped), -127, 127).astype(np.int8), scale, axis)


def insert_dequantized(model: onnx.ModelProto, name: str, grid: Grid) -> None:
    """Replace the initializer `name` by its integers and a DequantizeLinear that yields `name`."""
    graph = model.graph
    (old,) = [tensor for tensor in graph.initializer if tensor.name == name]
    graph.initializer.remove(old)
    parts = {"integers": grid.integers, "scale": grid.scale, "zero": np.zeros(grid.scale.shape, grid.integers.dtype)}
    for part, array in parts.items():
        graph.initializer.append(numpy_helper.from_array(array, f"{name}/{part}"))
    node = helper.make_node("DequantizeLinear", [f"{name}/{part}" for part in parts], [name])
    if grid.axis is not None:
        node.attribute.append(helper.make_attribute("axis", grid.axis))
    graph.node.insert(0, node)


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Initializers by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """For every value the node that makes it."""
    return {output: node for node in model.graph.node for output in node.output}


def consumers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """For every value the nodes that read it."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    return readers


def fuse_gemm(model: onnx.ModelProto) -> None:
    """Turn MatMul + Add of a constant bias into Gemm where the input has rank 2, in place.

    onnxruntime has an integer kernel with a bias for Gemm only.
    """
    inferred = onnx.shape_inference.infer_shapes(model)
    values = (*inferred.graph.value_info, *inferred.graph.input)
    rank = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    constants, readers = initializers(model), consumers(model)
    for node in [node for node in model.graph.node if node.op_type == "MatMul"]:
        following = readers.get(node.output[0], [])
        if len(following) != 1 or following[0].op_type != "Add" or rank.get(node.input[0]) != 2:
            continue
        add = following[0]
        biases = [name for name in add.input if name in constants and constants[name].ndim == 1]
        if not biases or node.input[1] not in constants:
            continue
        place = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        model.graph.node.remove(add)
        model.graph.node.insert(place, helper.make_node("Gemm", [*node.input, biases[0]], list(add.output)))
