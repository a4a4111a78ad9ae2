"""Pooling, and reductions along axes."""

from dataclasses import replace

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import ending
from octavo.quantization.litert.operators import windows
from octavo.quantization.litert.operators.windows import Window
from octavo.quantization.litert.translation import Code, Translation, option

LARGEST = 127
"""Of int8."""
REDUCTIONS = {
    "ReduceMean": Code.MEAN,
    "ReduceSum": Code.SUM,
    "ReduceMax": Code.REDUCE_MAX,
    "ReduceMin": Code.REDUCE_MIN,
    "ReduceProd": Code.REDUCE_PROD,
}
WHOLE = {"GlobalAveragePool": Code.MEAN, "GlobalMaxPool": Code.REDUCE_MAX}
RANGE_OF_INPUT = (Code.REDUCE_MAX, Code.REDUCE_MIN)
"""Reductions in integers that give one of the values they are given."""


def pool(translation: Translation, node: onnx.NodeProto) -> None:
    """MaxPool and AveragePool of one to three spatial axes.

    Raises:
        ModelError: dilations, a second output, or three spatial axes with padding.
    """
    source, target, rank = node.input[0], node.output[0], translation.rank(node.input[0])
    dilated = any(each != 1 for each in qdq.attribute(node, "dilations", [1]))
    if dilated or len(node.output) > 1:
        raise ModelError(f"a {node.op_type} with dilations or with indices has no form in LiteRT")
    size, shape = tuple(qdq.attribute(node, "kernel_shape", [])), translation.shape(source)[2:]
    view = windows.window(node, size, shape, translation.shape(target)[2:])
    if rank == 5:
        _pool_volumes(translation, node, view)
        return
    average, rounds = node.op_type == "AveragePool", ending(translation, node).scaling is not None
    if average and translation.is_integer(source) and rounds and (_factors(node, view, shape) == 1).all():
        if size == shape and view.padding == schema.Padding.VALID:
            _reduce(translation, node, Code.MEAN, list(range(2, rank)), keeps=True)
        else:
            _average_in_integers(translation, node, view)
        return
    _pool(translation, node, view)


def _average_in_integers(translation: Translation, node: onnx.NodeProto, view: Window) -> None:
    """An average as a depthwise convolution with equal weights.

    Its output may have a range of its own, which that of LiteRT's operator may not, and XNNPACK has a kernel for it.
    """
    end, rank = ending(translation, node), translation.rank(node.input[0])
    last, channels = layouts.channels_last(rank), translation.shape(node.input[0])[1]
    given = translation.tensor(node.input[0], last, integer=True)
    result = translation.hold(end.value, last, end.scaling)
    inner, count = result, int(np.prod(view.size))
    if rank == 3:
        view, given, inner = windows.widened(translation, view, given, result)
    if view.padding < 0:
        given = windows.padded(translation, given, view.begin, view.end, 0)
    scaling = translation.graph.tensors[given].scaling
    assert scaling is not None
    step, zero = np.array([1 / (LARGEST * count)], np.float32), np.array([0])
    weights = translation.constant(np.full((1, *view.size, channels), LARGEST, np.int8), Scaling(step, zero))
    bias = translation.constant(np.zeros(channels, np.int32), Scaling((scaling.scale * step).astype(np.float32), zero))
    options = option(
        schema.DepthwiseConv2DOptionsT(),
        padding=view.padding if view.padding >= 0 else schema.Padding.VALID,
        strideH=view.strides[0],
        strideW=view.strides[1],
        depthMultiplier=1,
        dilationHFactor=1,
        dilationWFactor=1,
    )
    translation.call(Code.DEPTHWISE_CONV_2D, [given, weights, bias], [inner], options, 3)
    if inner != result:
        windows.narrowed(translation, inner, result, end.value, last)


def _pool(translation: Translation, node: onnx.NodeProto, view: Window) -> None:
    """LiteRT's own operator. In integers its output has the range of its input.

    An average that leaves out padding which LiteRT does not add by itself is computed in float, and corrected then.
    """
    source, target, rank = node.input[0], node.output[0], translation.rank(node.input[0])
    last, average = layouts.channels_last(rank), node.op_type == "AveragePool"
    spatial = translation.shape(source)[2:]
    by_itself = view.padding >= 0 and not qdq.attribute(node, "count_include_pad", 0)
    counts = None if not average or by_itself else _factors(node, view, spatial)
    counts = None if counts is None or (counts == 1).all() else counts
    integers = translation.is_integer(source) and counts is None
    given = translation.tensor(source, last, integers)
    result = translation.hold(target, last, translation.scaling(source) if integers else None)
    inner = result
    if rank == 3:
        view, given, inner = windows.widened(translation, view, given, result)
    if view.padding < 0:
        given = windows.padded(translation, given, view.begin, view.end, 0 if average else -np.inf)
    elif view.padding == schema.Padding.SAME and average and qdq.attribute(node, "count_include_pad", 0):
        given = windows.padded(translation, given, view.begin, view.end, 0)
        view = replace(view, covers=False)
    options = option(
        schema.Pool2DOptionsT(),
        padding=view.padding if view.padding >= 0 else schema.Padding.VALID,
        strideH=view.strides[0],
        strideW=view.strides[1],
        filterHeight=view.size[0],
        filterWidth=view.size[1],
    )
    made = inner if counts is None else translation.between(translation.graph.tensors[inner].shape)
    code = Code.AVERAGE_POOL_2D if average else Code.MAX_POOL_2D
    translation.call(code, [given], [made], options, 2 if integers else 1)
    if counts is not None:
        translation.call(Code.MUL, [made, translation.constant(counts)], [inner], schema.MulOptionsT())
    if inner != result:
        windows.narrowed(translation, inner, result, target, last)


def _pool_volumes(translation: Translation, node: onnx.NodeProto, view: Window) -> None:
    """Pooling along three axes: first along the last two, of every slice, then along the first."""
    if any(view.begin) or any(each > 0 for each in view.end):
        raise ModelError(f"a {node.op_type} of three spatial axes with padding has no form in LiteRT")
    source, target, last = node.input[0], node.output[0], layouts.channels_last(5)
    integers = translation.is_integer(source) and node.op_type == "MaxPool"
    scaling = translation.scaling(source) if integers else None
    given, (depth, height, width) = translation.tensor(source, last, integers), translation.shape(source)[2:]
    (deep, high, wide), channels = translation.shape(target)[2:], translation.shape(source)[1]
    code = Code.AVERAGE_POOL_2D if node.op_type == "AveragePool" else Code.MAX_POOL_2D

    def shaped(tensor: int, shape: tuple[int, ...], batch: int) -> int:
        result = translation.between((batch, *shape), scaling)
        wanted = translation.constant(np.array([-1, *shape], np.int32))
        translation.call(Code.RESHAPE, [tensor, wanted], [result])
        return result

    def pooled(tensor: int, shape: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...]) -> int:
        result = translation.between((translation.graph.tensors[tensor].shape[0], *shape, channels), scaling)
        options = option(
            schema.Pool2DOptionsT(),
            padding=schema.Padding.VALID,
            filterHeight=size[0],
            filterWidth=size[1],
            strideH=strides[0],
            strideW=strides[1],
        )
        translation.call(code, [tensor], [result], options, 2 if integers else 1)
        return result

    slices = pooled(shaped(given, (height, width, channels), depth), (high, wide), view.size[1:], view.strides[1:])
    columns = shaped(slices, (depth, high * wide, channels), 1)
    found = pooled(columns, (deep, high * wide), (view.size[0], 1), (view.strides[0], 1))
    result = translation.hold(target, last, scaling)
    wanted = translation.constant(np.array([-1, deep, high, wide, channels], np.int32))
    translation.call(Code.RESHAPE, [found, wanted], [result])


def _factors(node: onnx.NodeProto, view: Window, spatial: tuple[int, ...]) -> np.ndarray:
    """What an average over the whole window is multiplied by, so that only what counts is divided by.

    Padding counts if the operator says so, but never what a rounded up size adds behind it.

    Args:
        node: the operator.
        view: its window.
        spatial: shape of the input.

    Returns:
        float32 (1, H, W, 1), for each output.
    """
    count = len(view.size)
    declared = qdq.attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
    ends = qdq.attribute(node, "pads", [0] * 2 * count)[count:] if declared else [max(each, 0) for each in view.end]
    padding = qdq.attribute(node, "count_include_pad", 0)
    lines = []
    for axis, (size, stride, low) in enumerate(zip(view.size, view.strides, view.begin, strict=True)):
        first, last = (-low, spatial[axis] + ends[axis]) if padding else (0, spatial[axis])
        starts = np.arange(0, spatial[axis] + low + view.end[axis] - size + 1, stride) - low
        real = np.minimum(starts + size, last) - np.maximum(starts, first)
        lines.append(size / real)
    rows = lines[0] if count > 1 else np.ones(1)
    return np.outer(rows, lines[-1]).astype(np.float32)[None, :, :, None]


def whole(translation: Translation, node: onnx.NodeProto) -> None:
    """GlobalAveragePool and GlobalMaxPool."""
    _reduce(translation, node, WHOLE[node.op_type], list(range(2, translation.rank(node.input[0]))), keeps=True)


def reduction(translation: Translation, node: onnx.NodeProto) -> None:
    """ReduceMean and the like."""
    rank = translation.rank(node.input[0])
    listed = qdq.attribute(node, "axes", None)
    if listed is None and len(node.input) > 1 and node.input[1]:
        listed = translation.constants[node.input[1]].ravel().tolist()
    if not listed and qdq.attribute(node, "noop_with_empty_axes", 0):
        translation.alias(node.output[0], node.input[0])
        return
    axes = sorted(axis % rank for axis in (listed or range(rank)))
    _reduce(translation, node, REDUCTIONS[node.op_type], axes, bool(qdq.attribute(node, "keepdims", 1)))


def _reduce(translation: Translation, node: onnx.NodeProto, code: int, axes: list[int], keeps: bool) -> None:
    source, end = node.input[0], ending(translation, node)
    order = translation.order(source)
    integers = translation.is_integer(source) and (
        code in RANGE_OF_INPUT or (code == Code.MEAN and end.scaling is not None)
    )
    scaling = (translation.scaling(source) if code in RANGE_OF_INPUT else end.scaling) if integers else None
    given = translation.tensor(source, order, integers)
    result = translation.hold(end.value, order if keeps else layouts.without(order, axes), scaling)
    places = translation.constant(np.array(sorted(order.index(axis) for axis in axes), np.int32))
    options = option(schema.ReducerOptionsT(), keepDims=keeps)
    translation.call(code, [given, places], [result], options, 2 if integers else 1)
