"""What a quantized file stores, read without Octavo's code."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


@dataclass
class Stored:
    ranges: Counter[tuple[float, int]]
    """Scale and zero point (as of uint8) of each quantized activation."""
    weights: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    """Integers, scale and zero point of each constant in 8 bits, with the channels of the scale first."""


def read(path: Path) -> Stored:
    graph = onnx.load(path).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    arrays |= {node.output[0]: numpy_helper.to_array(node.attribute[0].t) for node in graph.node if not node.input}
    stored = Stored(Counter(), [])
    for node in graph.node:
        if node.op_type in ("Identity", "Cast") and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
        if node.op_type == "Clip" and node.input[0] in arrays:
            arrays[node.output[0]] = np.clip(*(arrays[name] for name in node.input))
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale = arrays[node.input[1]]
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
        zero = arrays[node.input[2]] if len(node.input) > 2 else np.array(0, np.uint8)
        source = arrays.get(node.input[0])
        if node.op_type == "QuantizeLinear" and source is None:
            stored.ranges[scale.item(), zero.item() + 128 * (zero.dtype == np.int8)] += 1
        elif node.op_type == "QuantizeLinear" and source is not None:
            steps = np.rint(source / spread(scale, axis, source.ndim)) + spread(zero, axis, source.ndim)
            limits = np.iinfo(zero.dtype)
            arrays[node.output[0]] = np.clip(steps, limits.min, limits.max).astype(zero.dtype)
        elif source is not None and source.dtype in (np.int8, np.uint8) and source.ndim > 1:
            turned = np.moveaxis(source, axis, 0) if scale.size > 1 else source
            stored.weights.append((turned, scale, zero))
    return stored


def spread(parameters: np.ndarray, axis: int, rank: int) -> np.ndarray:
    if parameters.size == 1:
        return parameters
    return parameters.reshape([-1 if at == axis % rank else 1 for at in range(rank)])


def holds(kept: Stored, learned: Stored, scaled: bool) -> None:
    """Check that everything in `learned` is in `kept`.

    Args:
        kept: what Octavo's file stores.
        learned: what the given file stores.
        scaled: whether normalization may have changed scales of weights, and signs of integers.
    """
    assert not learned.ranges - kept.ranges
    assert len(kept.weights) == len(learned.weights)
    left = list(kept.weights)
    for integers, scale, zero in learned.weights:
        same = [
            place
            for place, (found, found_scale, found_zero) in enumerate(left)
            if (
                scaled
                and sorted(found.shape) == sorted(integers.shape)
                and np.array_equal(
                    np.sort(np.abs(found.astype(int)), None), np.sort(np.abs(integers.astype(int)), None)
                )
            )
            or (
                any(np.array_equal(found, each) for each in (integers, integers.T))
                and np.array_equal(found_scale.ravel(), scale.ravel())
                and (found_zero == zero.ravel()[0]).all()
            )
        ]
        assert same, f"weights of shape {integers.shape} are lost"
        left.pop(same[0])
