"""Where the result of an operator ends: behind the clip that its kernel applies too, and in which integers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert.translation import Translation

Fused = schema.ActivationFunctionType
BOUNDS = {(0.0, np.inf): Fused.RELU, (0.0, 6.0): Fused.RELU6, (-1.0, 1.0): Fused.RELU_N1_TO_1}
LOWEST, HIGHEST, SHIFT = -128, 127, 128
"""Of int8; and what lies between it and the uint8 of the same place."""
MOVERS = (*qdq.MOVERS, "Dropout", "Flatten", "Identity")
"""Operators that give some of the values they are given: rounding before them is rounding behind them."""
SAME = 1e-5
"""Largest relative difference of two scales that count as one: they differ in units in the last place."""


@dataclass(frozen=True)
class Ending:
    """The value that an operator computes with all that its kernel does after it."""

    value: str
    activation: int
    scaling: Scaling | None
    """Of the integers that all readers round the value to; None if it stays in float."""


def ending(translation: Translation, node: onnx.NodeProto, fuses: bool = False) -> Ending:
    """Where the first output of an operator ends.

    Args:
        translation: so far. A clip that becomes a part of the operator is noted there.
        node: the operator.
        fuses: whether its kernel can clip what it computes.
    """
    value, activation = node.output[0], Fused.NONE
    following = translation.readers.get(value, [])
    if fuses and len(following) == 1 and value not in translation.ends and following[0].op_type in qdq.CLIPS:
        clip = following[0]
        limits = bounds(translation, clip)
        rounded = _rounding(translation, clip.output[0])
        if limits is not None and rounded is not None and _contains(limits, rounded):
            translation.fused.add(clip.output[0])
            return Ending(clip.output[0], Fused.NONE, rounded)
        if limits in BOUNDS:
            translation.fused.add(clip.output[0])
            value, activation = clip.output[0], BOUNDS[limits]
    return Ending(value, activation, _rounding(translation, value))


def bounds(translation: Translation, clip: onnx.NodeProto) -> tuple[float, float] | None:
    """Lower and upper bound of a Relu or Clip; None if they are computed."""
    if clip.op_type == "Relu":
        return 0.0, np.inf
    found = [-np.inf, np.inf]
    for place, name in enumerate(clip.input[1:3]):
        if name and name not in translation.constants:
            return None
        if name:
            found[place] = float(translation.constants[name])
    return found[0], found[1]


def scaling_of(translation: Translation, rounding: onnx.NodeProto) -> Scaling:
    """Scale and zero point of a QuantizeLinear or DequantizeLinear of activations, for int8.

    Raises:
        ModelError: they are not those of one range of 8-bit integers.
    """
    scale, *zero = (translation.constants.get(name) for name in rounding.input[1:])
    zero = zero or [np.zeros((), np.uint8)]
    if scale is None or zero[0] is None or scale.size != 1 or zero[0].dtype not in (np.uint8, np.int8):
        raise ModelError("a range that is not one scale and zero point of 8-bit integers has no form in LiteRT")
    shift = SHIFT if zero[0].dtype == np.uint8 else 0
    return Scaling(scale.reshape(1).astype(np.float32), zero[0].reshape(1).astype(np.int64) - shift)


def alike(first: Scaling, second: Scaling) -> bool:
    """Whether two ranges are the same, up to units in the last place of their scales."""
    return bool(np.isclose(first.scale, second.scale, rtol=SAME).all() and (first.zero == second.zero).all())


def _rounding(translation: Translation, value: str) -> Scaling | None:
    """The one range that everything that reads a value rounds it to, also behind operators that only move it.

    The scale is that of the Dequantize behind it.
    """
    following = list(_roundings(translation, value))
    if not following or None in following:
        return None
    nodes = [node for node in following if node is not None]
    found = [scaling_of(translation, node) for node in nodes]
    back = [
        scaling_of(translation, node)
        for reader in nodes
        for node in translation.readers.get(reader.output[0], [])
        if node.op_type == "DequantizeLinear"
    ]
    same = all(alike(found[0], other) for other in (*found[1:], *back))
    return (back or found)[0] if same else None


def _roundings(translation: Translation, value: str) -> Iterator[onnx.NodeProto | None]:
    """The QuantizeLinear of each reader of a value; None for one that takes it in float."""
    if value in translation.ends:
        yield None
    for node in translation.readers.get(value, []):
        if node.op_type in MOVERS and node.input[0] == value:
            yield from _roundings(translation, node.output[0])
        else:
            yield node if node.op_type == "QuantizeLinear" else None


def _contains(limits: tuple[float, float], rounded: Scaling) -> bool:
    """Whether rounding into a range clips at least as much as `limits`."""
    low, high = ((place - int(rounded.zero[0])) * float(rounded.scale[0]) for place in (LOWEST, HIGHEST))
    return limits[0] <= low and high <= limits[1] * (1 + SAME)
