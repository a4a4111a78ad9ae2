"""Cut off integers instead of real values: a clip in front of a QuantizeLinear moves behind it.

Rounding keeps the order of values, so clipping and rounding can change places: the result is the same, bit for bit. The
layer in front of the clip then gives integers, whatever the zero point is. A clip to the whole range of the type has no
effect and goes.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import stored

OPEN = (-np.inf, np.inf)


def move(model: onnx.ModelProto) -> None:
    """Move each ReLU and Clip whose only reader is a QuantizeLinear behind it, in place, and join clips in a row."""
    arrays, makers = qdq.initializers(model), qdq.producers(model)
    ends = {value.name for value in model.graph.output}
    for node in [node for node in model.graph.node if node.op_type == "QuantizeLinear"]:
        zero = arrays[node.input[2]]
        kept = np.array([np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max])
        while not zero.ndim and (clip := _clip_before(node, model, makers, ends)) is not None:
            real = _real_bounds(clip, arrays)
            if real is None:
                break
            kept = kept.clip(*stored.rounded(np.array(real, np.float32), arrays[node.input[1]], zero, 0).astype(int))
            node.input[0] = clip.input[0]
            model.graph.node.remove(clip)
        _clip_behind(model, node, kept.astype(zero.dtype), arrays)


def _clip_before(
    node: onnx.NodeProto, model: onnx.ModelProto, makers: Mapping[str, onnx.NodeProto], ends: set[str]
) -> onnx.NodeProto | None:
    """The ReLU or Clip in front of a QuantizeLinear, if nothing else reads it.

    Args:
        node: the QuantizeLinear.
        model: the graph.
        makers: from `qdq.producers`.
        ends: outputs of the graph.
    """
    clip = makers.get(node.input[0])
    if clip is None or clip.op_type not in qdq.CLIPS or clip.output[0] in ends:
        return None
    readers = [other for other in model.graph.node if clip.output[0] in qdq.reads(other)]
    return clip if len(readers) == 1 else None


def _real_bounds(clip: onnx.NodeProto, arrays: Mapping[str, np.ndarray]) -> tuple[float, float] | None:
    """The bounds of a ReLU or Clip; None if they are computed."""
    if clip.op_type == "Relu":
        return 0.0, np.inf
    if any(name and name not in arrays for name in clip.input[1:]):
        return None
    low, high = stored.bounds(clip, arrays)
    return float(OPEN[0] if low is None else low), float(OPEN[1] if high is None else high)


def _clip_behind(
    model: onnx.ModelProto, node: onnx.NodeProto, kept: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> None:
    """Clip the integers of a QuantizeLinear, together with the Clip that may be there, in place.

    Args:
        model: the graph.
        node: the QuantizeLinear.
        kept: the smallest and the largest integer.
        arrays: the constants.
    """
    limits, result = np.iinfo(kept.dtype), node.output[0]
    readers = [other for other in model.graph.node if result in qdq.reads(other)]
    following = readers[0] if len(readers) == 1 and readers[0].op_type == "Clip" else None
    if following is not None and not any(name and name not in arrays for name in following.input[1:]):
        low, high = stored.bounds(following, arrays)
        kept = kept.clip(limits.min if low is None else low, limits.max if high is None else high)
        model.graph.node.remove(following)
        result = following.output[0]
    if kept[0] == limits.min and kept[1] == limits.max:
        node.output[0] = result
        return
    node.output[0] = f"{result}/all"
    parts = zip(("low", "high"), kept, strict=True)
    names = [qdq.add_constant(model, f"{result}/{part}", value) for part, value in parts]
    place = list(model.graph.node).index(node) + 1
    model.graph.node.insert(place, helper.make_node("Clip", [node.output[0], *names], [result]))
