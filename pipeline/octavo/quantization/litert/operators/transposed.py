"""Transposed convolutions."""

from dataclasses import dataclass

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import ending
from octavo.quantization.litert.operators.layers import computes_in_integers, parameters, shape_of, weights_of
from octavo.quantization.litert.translation import Code, Packed, Translation, option

ORDERS = {3: (1, 2, 0), 4: (1, 2, 3, 0), 5: (2, 3, 4, 1, 0)}
"""Rank -> LiteRT's order of the axes of ONNX's weights (I, O, ...)."""


@dataclass(frozen=True)
class Extent:
    """How large an output LiteRT makes, and what of it is kept."""

    strides: tuple[int, ...]
    made: tuple[int, ...]
    begin: tuple[int, ...]
    """Pixels that are cut off before the first one."""
    padding: int

    def widened(self) -> "Extent":
        """The same with an axis of size 1 in front."""
        return Extent((1, *self.strides), (1, *self.made), (0, *self.begin), self.padding)


def transposed_convolution(translation: Translation, node: onnx.NodeProto) -> None:
    """ConvTranspose of one to three spatial axes. The output is cropped where LiteRT's paddings leave too much.

    Groups become one convolution with zeros between them.

    Raises:
        ModelError: it has dilations, which LiteRT has not, or reaches beyond what its window covers.
    """
    source, target, rank = node.input[0], node.output[0], translation.rank(node.output[0])
    if any(each != 1 for each in qdq.attribute(node, "dilations", [1])):
        raise ModelError("a ConvTranspose with dilations has no form in LiteRT")
    weights = weights_of(translation, node, ORDERS[rank], name=_whole(translation, node))
    end, last = ending(translation, node), layouts.channels_last(rank)
    integers = rank < 5 and computes_in_integers(translation, source, weights, end)
    scaling = end.scaling if integers else None
    plan = _plan(translation, node)
    given, result = translation.tensor(source, last, integers), translation.hold(end.value, last, scaling)
    wanted = translation.shape(target)[2:]
    if rank == 3:
        given = _reshaped(translation, given, (1, *translation.graph.tensors[given].shape[1:]))
        plan, wanted = plan.widened(), (1, *wanted)
    channels = translation.shape(target)[1]
    fits = plan.made == wanted and rank != 3
    made = result if fits else translation.between((1, *plan.made, channels), scaling)
    code = Code.CONV_3D_TRANSPOSE if rank == 5 else Code.TRANSPOSE_CONV
    weight, bias = parameters(translation, weights, given, integers, code)
    shape = shape_of(translation, given, (*plan.made, channels))
    translation.call(code, [shape, weight, given, bias], [made], _options(plan), 1 if rank == 5 else 3)
    if plan.made != wanted:
        made = _cut(translation, made, plan.begin, (*wanted, channels), -1 if rank == 3 else result)
    if rank == 3:
        _reshaped(translation, made, translation.graph.tensors[result].shape[1:], result)


def _plan(translation: Translation, node: onnx.NodeProto) -> Extent:
    size, spatial = translation.shape(node.input[1])[2:], translation.shape(node.input[0])[2:]
    wanted, strides = translation.shape(node.output[0])[2:], tuple(qdq.attribute(node, "strides", [1] * len(size)))
    whole = tuple((each - 1) * stride + span for each, stride, span in zip(spatial, strides, size, strict=True))
    begin = _cropped(node, whole, wanted)
    covers = all(-(-out // stride) == each for out, stride, each in zip(wanted, strides, spatial, strict=True))
    total = [full - out for full, out in zip(whole, wanted, strict=True)]
    if covers and min(total) >= 0 and begin == tuple(each // 2 for each in total):
        return Extent(strides, wanted, begin, int(schema.Padding.SAME))
    if any(out + low > full for out, low, full in zip(wanted, begin, whole, strict=True)):
        raise ModelError("a ConvTranspose with an output_padding beyond its window has no form in LiteRT")
    return Extent(strides, whole, begin, int(schema.Padding.VALID))


def _cropped(node: onnx.NodeProto, whole: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Pixels that are cut off before the first one of each axis."""
    automatic = qdq.attribute(node, "auto_pad", b"NOTSET").decode()
    if automatic == "NOTSET" and "output_shape" not in {item.name for item in node.attribute}:
        return tuple(qdq.attribute(node, "pads", [0] * 2 * len(whole))[: len(whole)])
    total = [max(full - out, 0) for full, out in zip(whole, wanted, strict=True)]
    return tuple(each // 2 if automatic == "SAME_UPPER" else each - each // 2 for each in total)


def _options(plan: Extent) -> object:
    names = ("D", "H", "W")[-len(plan.strides) :]
    strides = {f"stride{name}": each for name, each in zip(names, plan.strides, strict=True)}
    if len(names) == 2:
        return option(schema.TransposeConvOptionsT(), padding=plan.padding, **strides)
    dilations = {f"dilation{name}Factor": 1 for name in names}
    return option(schema.Conv3DOptionsT(), padding=plan.padding, **strides, **dilations)


def _whole(translation: Translation, node: onnx.NodeProto) -> str:
    """The weights; of groups as one array (I, O, ...) with zeros between the groups, under a name of its own."""
    groups, name = qdq.attribute(node, "group", 1), node.input[1]
    if groups == 1 or not translation.is_constant(name):
        return name
    kept = translation.kept.get(name) or Packed(translation.constants[name], None)
    values, scaling = kept.values, kept.scaling
    each = values.shape[0] // groups, values.shape[1]
    dense = np.zeros((values.shape[0], each[1] * groups, *values.shape[2:]), values.dtype)
    for group in range(groups):
        rows = slice(group * each[0], (group + 1) * each[0])
        dense[rows, group * each[1] : (group + 1) * each[1]] = values[rows]
    if scaling is not None and len(scaling.scale) > 1:
        scaling = Scaling(np.tile(scaling.scale, groups), np.tile(scaling.zero, groups), scaling.axis)
    name = f"{name}/whole"
    translation.shapes[name] = dense.shape
    if scaling is None and kept.values.dtype == np.float32:
        translation.constants[name] = dense
    else:
        translation.kept[name] = Packed(dense, scaling)
    return name


def _reshaped(translation: Translation, source: int, inner: tuple[int, ...], target: int = -1) -> int:
    """The tensor in another shape behind the batch; `target`, or a new one."""
    result = translation.between((1, *inner), translation.graph.tensors[source].scaling) if target < 0 else target
    wanted = translation.constant(np.array([-1, *inner], np.int32))
    translation.call(Code.RESHAPE, [source, wanted], [result])
    return result


def _cut(translation: Translation, source: int, begin: tuple[int, ...], inner: tuple[int, ...], target: int) -> int:
    """A part of a tensor: `inner` behind the batch, from `begin` on; `target`, or a new tensor if that is -1."""
    scaling = translation.graph.tensors[source].scaling
    result = translation.between((1, *inner), scaling) if target < 0 else target
    starts = [0, *begin, 0]
    ends = [low + size for low, size in zip(starts, (0, *inner), strict=True)]
    steps = [translation.constant(np.array(each, np.int32)) for each in (starts, ends, [1] * len(starts))]
    cut = option(schema.StridedSliceOptionsT(), beginMask=1, endMask=1)
    translation.call(Code.STRIDED_SLICE, [source, *steps], [result], cut, 2 if scaling else 1)
    return result
