"""Pooling, and reductions along axes."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import ending
from octavo.quantization.litert.operators import windows
from octavo.quantization.litert.operators.windows import Window
from octavo.quantization.litert.translation import Code, Translation, option

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
    """MaxPool and AveragePool of one or two spatial axes. In integers the output has the range of the input.

    Raises:
        ModelError: three spatial axes, dilations, or a second output.
    """
    source, target = node.input[0], node.output[0]
    size, rank = tuple(qdq.attribute(node, "kernel_shape", [])), translation.rank(node.input[0])
    if rank > 4 or any(each != 1 for each in qdq.attribute(node, "dilations", [1])) or len(node.output) > 1:
        raise ModelError(
            f"a {node.op_type} of three spatial axes, with dilations or with indices has no form in LiteRT"
        )
    last = layouts.channels_last(rank)
    integers = translation.is_integer(source)
    scaling = translation.scaling(source) if integers else None
    given = translation.tensor(source, last, integers)
    view = windows.window(node, size, translation.shape(source)[2:], translation.shape(target)[2:])
    result = translation.hold(target, last, scaling)
    inner = result
    if rank == 3:
        view, given, inner = windows.widened(translation, view, given, result)
    average = node.op_type == "AveragePool"
    counts = None
    if view.padding < 0:
        if average:
            counts = _counts(node, view, translation.shape(source)[2:], integers)
        given = windows.padded(translation, given, view.begin, view.end, 0 if average else -np.inf)
    elif view.padding == int(schema.Padding.SAME) and average and qdq.attribute(node, "count_include_pad", 0):
        given = windows.padded(translation, given, view.begin, view.end, 0)
        view = Window(view.size, view.strides, view.dilations, view.begin, view.end, covers=False)
    padding = view.padding if view.padding >= 0 else int(schema.Padding.VALID)
    options = option(
        schema.Pool2DOptionsT(),
        padding=padding,
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


def _counts(node: onnx.NodeProto, view: Window, spatial: tuple[int, ...], integers: bool) -> np.ndarray | None:
    """What each average over padding is multiplied by, so that padding does not count; None if it counts.

    Raises:
        ModelError: the average is in integers, which cannot be multiplied so.
    """
    if qdq.attribute(node, "count_include_pad", 0):
        return None
    if integers:
        raise ModelError("an AveragePool in integers with padding of its own has no form in LiteRT")
    factors = np.ones((1, 1), np.float64)
    sizes = spatial if len(spatial) == 2 else (1, *spatial)
    for axis, (size, stride, low) in enumerate(zip(view.size, view.strides, view.begin, strict=True)):
        high = max(view.end[axis], 0)
        starts = np.arange(0, sizes[axis] + low + high - size + 1, stride) - low
        real = np.minimum(starts + size, sizes[axis]) - np.maximum(starts, 0)
        factors = factors * np.expand_dims(size / real, 1 - axis)
    return factors.astype(np.float32)[None, :, :, None]


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
