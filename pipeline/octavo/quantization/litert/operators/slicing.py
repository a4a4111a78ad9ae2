"""Operators that take or add values at the edges, or some of them."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.operators.shaping import integers, moved
from octavo.quantization.litert.translation import Code, Translation, option

MIRRORS = {"reflect": schema.MirrorPadMode.REFLECT, "symmetric": schema.MirrorPadMode.SYMMETRIC}


def pad(translation: Translation, node: onnx.NodeProto) -> None:
    """Pad, with a number or as a mirror."""
    source, name, mode = node.input[0], node.output[0], qdq.attribute(node, "mode", b"constant").decode()
    order, rank = translation.order(source), translation.rank(source)
    amounts = integers(translation, node, 1, "pads")
    axes = integers(translation, node, 3, "axes") if len(node.input) > 3 else list(range(rank))
    pairs = np.zeros((rank, 2), np.int32)
    for place, axis in enumerate(axes):
        pairs[axis % rank] = amounts[place], amounts[place + len(axes)]
    if mode == "edge" and pairs.max(initial=0) <= 1:  # one more of the last value is the mirror image of itself
        mode = "symmetric"
    if (pairs < 0).any() or (mode != "constant" and mode not in MIRRORS):
        raise ModelError(f"a Pad that cuts, or of mode '{mode}', has no form in LiteRT")
    fill = 0.0
    if mode == "constant" and len(node.input) > 2 and node.input[2]:
        fill = float(translation.constants[node.input[2]].ravel()[0])
    given, scaling = moved(translation, source, order)
    if scaling is not None and fill:
        given, scaling = translation.tensor(source, order), None
    result = translation.hold(name, order, scaling)
    inputs = [given, translation.constant(pairs[list(order)])]
    if mode in MIRRORS:
        options = option(schema.MirrorPadOptionsT(), mode=MIRRORS[mode])
        translation.call(Code.MIRROR_PAD, inputs, [result], options, 2 if scaling else 1)
    elif fill:
        inputs.append(translation.constant(np.array(fill, np.float32)))
        translation.call(Code.PADV2, inputs, [result], schema.PadV2OptionsT())
    else:
        translation.call(Code.PAD, inputs, [result], schema.PadOptionsT(), 2 if scaling else 1)


def cut(translation: Translation, node: onnx.NodeProto) -> None:
    """Slice.

    Raises:
        ModelError: it cuts the batch.
    """
    source, name = node.input[0], node.output[0]
    shape, order = translation.shape(source), translation.order(source)
    starts, ends = (integers(translation, node, place, key) for place, key in ((1, "starts"), (2, "ends")))
    axes = integers(translation, node, 3, "axes") or list(range(len(starts)))
    steps = integers(translation, node, 4, "steps") or [1] * len(starts)
    begin, end, stride = [0] * len(shape), list(shape), [1] * len(shape)
    kept = (1 << len(shape)) - 1
    for low, high, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis % len(shape)
        found = range(*slice(low, high, step).indices(shape[place]))
        if step < 1 or (translation.free.get(source) == place and len(found) != shape[place]):
            raise ModelError("a Slice backwards, or of the batch, has no form in LiteRT")
        begin[place], end[place], stride[place] = found.start, found.stop, step
        kept &= ~(1 << order.index(place))
    given, scaling = moved(translation, source, order)
    result = translation.hold(name, order, scaling)
    arrays = [np.array([each[axis] for axis in order], np.int32) for each in (begin, end, stride)]
    options = option(schema.StridedSliceOptionsT(), beginMask=kept, endMask=kept)
    translation.call(
        Code.STRIDED_SLICE, [given, *map(translation.constant, arrays)], [result], options, 2 if scaling else 1
    )


def split(translation: Translation, node: onnx.NodeProto) -> None:
    """Split, into parts of any size."""
    source, order = node.input[0], translation.order(node.input[0])
    axis = qdq.attribute(node, "axis", 0) % translation.rank(source)
    sizes = [translation.shape(name)[axis] for name in node.output]
    given, scaling = moved(translation, source, order)
    results = [translation.hold(name, order, scaling) for name in node.output]
    inputs = [given, translation.constant(np.array(sizes, np.int32))]
    inputs.append(translation.constant(np.array(order.index(axis), np.int32)))
    options = option(schema.SplitVOptionsT(), numSplits=len(sizes))
    translation.call(Code.SPLIT_V, inputs, results, options, 2 if scaling else 1)


def gather(translation: Translation, node: onnx.NodeProto) -> None:
    """Gather of constant places along one axis."""
    source, order = node.input[0], layouts.same(translation.rank(node.input[0]))
    if node.input[1] not in translation.constants:
        raise ModelError("a Gather of computed places has no form in LiteRT")
    axis = qdq.attribute(node, "axis", 0) % len(order)
    places = translation.constants[node.input[1]]
    places = np.where(places < 0, places + translation.shape(source)[axis], places).astype(np.int32)
    given, scaling = moved(translation, source, order)
    result = translation.hold(node.output[0], layouts.same(translation.rank(node.output[0])), scaling)
    options = option(schema.GatherOptionsT(), axis=axis)
    translation.call(Code.GATHER, [given, translation.constant(places)], [result], options, 2 if scaling else 1)
