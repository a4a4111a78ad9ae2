"""Fuse hard sigmoids into one operator. Converters write MobileNetV3's `relu6(x + 3) / 6` as a sum, a clip and a
product.

Its inputs and outputs are integers, so each of the three operators would otherwise be computed in float.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from octavo.onnx_graph import qdq

CLOSE = 1e-6
"""Largest relative difference from 1 that counts as rounding: one sixth is not a float."""


def fuse(model: onnx.ModelProto) -> None:
    """Turn `clip(a x + b, 0, h) / h` into `HardSigmoid`, in place, if nothing else reads its parts."""
    scalars, readers = _scalars(model), qdq.consumers(model)
    makers, ends = qdq.producers(model), {value.name for value in model.graph.output}

    def alone(name: str) -> onnx.NodeProto | None:
        following = readers.get(name, [])
        return following[0] if len(following) == 1 and name not in ends else None

    for clip in [node for node in model.graph.node if node.op_type == "Clip" and len(node.input) == 3]:
        low, high = (scalars.get(name) for name in clip.input[1:])
        after = alone(clip.output[0])
        scale = _step(after, clip.output[0], scalars) if after is not None else None
        if low != 0 or high is None or after is None or scale is None or scale[1] != 0:
            continue
        if abs(high * scale[0] - 1) > CLOSE:
            continue
        alpha, beta, source, parts = 1.0, 0.0, clip.input[0], [clip, after]
        while (maker := makers.get(source)) is not None and alone(source) is not None:
            value = next((name for name in maker.input if name not in scalars), "")
            step = _step(maker, value, scalars)
            if step is None:
                break
            alpha, beta, source = alpha * step[0], beta + alpha * step[1], value
            parts.append(maker)
        _replace(model, parts, source, (alpha * scale[0], beta * scale[0]))


def _replace(model: onnx.ModelProto, parts: list[onnx.NodeProto], source: str, line: tuple[float, float]) -> None:
    """Replace `parts` by a HardSigmoid of `source`. `parts` are a clip, its scaling, and the operators before them."""
    target, place = parts[1].output[0], list(model.graph.node).index(parts[1])
    made = helper.make_node(
        "HardSigmoid", [source], [target], alpha=line[0], beta=line[1], doc_string=parts[1].doc_string
    )
    model.graph.node.insert(place, made)
    for part in parts:
        model.graph.node.remove(part)


def _step(node: onnx.NodeProto, value: str, scalars: Mapping[str, float]) -> tuple[float, float] | None:
    """Factor and summand, if `node` does nothing else to `value`."""
    others = [scalars[name] for name in node.input if name in scalars]
    if len(node.input) != 2 or len(others) != 1:
        return None
    comes_first, (other,) = node.input[0] == value, others
    if node.op_type in ("Add", "Mul"):
        return (1.0, other) if node.op_type == "Add" else (other, 0.0)
    if not comes_first or node.op_type not in ("Div", "Sub") or (node.op_type == "Div" and other == 0):
        return None
    return (1.0, -other) if node.op_type == "Sub" else (1 / other, 0.0)


def _scalars(model: onnx.ModelProto) -> dict[str, float]:
    """Constants with a single float value, by name."""
    return {
        tensor.name: float(numpy_helper.to_array(tensor).ravel()[0])
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and int(np.prod(tensor.dims)) == 1
    }
