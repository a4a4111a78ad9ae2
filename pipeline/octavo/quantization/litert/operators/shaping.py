"""Operators that move values and compute none. In integers their output has the range of their input."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

from octavo.backends.litert.content.packing import Scaling
from octavo.onnx_graph import qdq
from octavo.project.errors import ModelError
from octavo.quantization.litert import layouts
from octavo.quantization.litert.endings import alike, ending
from octavo.quantization.litert.operators import elementwise, layers
from octavo.quantization.litert.translation import Code, Translation, option

BATCH = 1_000_003
"""A prime number."""


def integers(translation: Translation, node: onnx.NodeProto, place: int, attribute: str) -> list[int]:
    """Whole numbers that a node has as an input, or as an attribute in older opsets; empty if it has none.

    Args:
        translation: the graph, which knows the constants.
        node: the operator.
        place: of the input, counted from 0.
        attribute: its name.

    Raises:
        ModelError: they are computed.
    """
    if len(node.input) > place and node.input[place]:
        if node.input[place] not in translation.constants:
            raise ModelError(f"a {node.op_type} with computed {attribute} has no form in LiteRT")
        return [int(each) for each in translation.constants[node.input[place]].ravel()]
    found = qdq.attribute(node, attribute, [])
    return [int(each) for each in (found if isinstance(found, list) else [found])]


def moved(translation: Translation, name: str, order: layouts.Order) -> tuple[int, Scaling | None]:
    """The tensor of a value that is only moved, in integers if the value is, and its scaling; None in float.

    Args:
        translation: the graph.
        name: of the value.
        order: of the tensor's axes.
    """
    whole = translation.is_integer(name) and not translation.is_constant(name)
    return translation.tensor(name, order, whole), translation.scaling(name) if whole else None


def identity(translation: Translation, node: onnx.NodeProto) -> None:
    """Identity, and Dropout, which does nothing outside of training."""
    translation.alias(node.output[0], node.input[0])


def transpose(translation: Translation, node: onnx.NodeProto) -> None:
    """Transpose. No operator: the tensor at hand holds the output in another order."""
    rank = translation.rank(node.input[0])
    axes = list(qdq.attribute(node, "perm", list(reversed(range(rank)))))
    source = node.input[0]
    if source in translation.constants:
        translation.constants[node.output[0]] = translation.constants[source].transpose(axes)
        return
    if source in translation.kept:
        raise ModelError("a Transpose of stored weights has no form in LiteRT")
    translation.alias(node.output[0], source, axes)


def reshape(translation: Translation, node: onnx.NodeProto) -> None:
    """Reshape, Flatten, Squeeze, Unsqueeze. An image is also flattened in the order that its tensor has.

    A dense layer then takes its weights in that order, and the image needs no transpose.
    """
    source, name = node.input[0], node.output[0]
    if source in translation.constants:
        translation.constants[name] = translation.constants[source].reshape(translation.shape(name))
        return
    if translation.shape(source) == translation.shape(name) and translation.free.get(source) == translation.free.get(
        name
    ):
        translation.alias(name, source)
        return
    shape, order, flat = translation.shape(source), translation.order(source), translation.shape(name)
    wanted, made = layouts.regrouped(_counted(translation, source), _counted(translation, name), order)
    if len(flat) == 2 and wanted != order and order[0] == 0 and flat[0] == shape[0]:
        given, scaling = moved(translation, source, order)
        result = translation.between(flat, scaling)
        translation.call(Code.RESHAPE, [given, _target(translation, name, made)], [result])
        translation.hold_flat(name, result, layouts.features(shape, order))
    given, scaling = moved(translation, source, wanted)
    result = translation.hold(name, made, scaling)
    translation.call(Code.RESHAPE, [given, _target(translation, name, made)], [result])


def _counted(translation: Translation, name: str) -> list[int]:
    """The shape of a value for a batch of a size that no other axis has, so that the batch stays by itself."""
    free = translation.free.get(name)
    return [size * BATCH if axis == free else size for axis, size in enumerate(translation.shape(name))]


def _target(translation: Translation, name: str, order: layouts.Order) -> int:
    shape = translation.target(name)
    return translation.constant(np.array([shape[axis] for axis in order], np.int32))


def concat(translation: Translation, node: onnx.NodeProto) -> None:
    """Concat. In integers each input is rounded to the range of the output first, if it has another one."""
    end = ending(translation, node)
    names = list(node.input)
    rank = translation.rank(names[0])
    order = next((translation.order(name) for name in names if not translation.is_constant(name)), layouts.same(rank))
    scaling = end.scaling if all(map(translation.is_integer, names)) else None
    if scaling is None and all(map(translation.is_integer, names)):
        ranges = [translation.scaling(name) for name in names]
        scaling = ranges[0] if all(alike(ranges[0], other) for other in ranges[1:]) else None
    given = []
    for name in names:
        tensor = translation.tensor(name, order, scaling is not None)
        if scaling is not None and not _equal(translation.scaling(name), scaling):
            rounded = translation.between(translation.graph.tensors[tensor].shape, scaling)
            translation.call(Code.QUANTIZE, [tensor], [rounded], schema.QuantizeOptionsT(), 2)
            tensor = rounded
        given.append(tensor)
    result = translation.hold(end.value, order, scaling)
    options = option(schema.ConcatenationOptionsT(), axis=layouts.place(order, qdq.attribute(node, "axis", 0)))
    translation.call(Code.CONCATENATION, given, [result], options, 2 if scaling else 1)


def _equal(first: Scaling, second: Scaling) -> bool:
    return bool(first.scale[0] == second.scale[0] and first.zero[0] == second.zero[0])


def expand(translation: Translation, node: onnx.NodeProto) -> None:
    """Expand, as a product with ones."""
    source, name = node.input[0], node.output[0]
    shape = translation.shape(name)
    if translation.shape(source) == shape and translation.free.get(source) == translation.free.get(name):
        translation.alias(name, source)
        return
    if translation.free.get(source) != translation.free.get(name):
        _repeat(translation, source, name)
        return
    free = translation.free.get(name)
    ones = np.ones([1 if axis == free else size for axis, size in enumerate(shape)], np.float32)
    given = elementwise.operand(translation, source, layouts.same(len(shape)))
    result = translation.hold(name, layouts.same(len(shape)))
    translation.call(Code.MUL, [given, translation.constant(ones)], [result], schema.MulOptionsT())


def _repeat(translation: Translation, source: str, name: str) -> None:
    """Repeat a value for each example of the batch, whose size the input of the graph tells."""
    if translation.free.get(name) != 0 or translation.free.get(source) is not None:
        raise ModelError("an Expand along an axis that grows with the batch has no form in LiteRT")
    shape = translation.shape(name)
    given = elementwise.operand(translation, source, layouts.same(len(shape)))
    result = translation.hold(name, layouts.same(len(shape)))
    wanted = layers.shape_of(translation, translation.graph.inputs[0], shape[1:])
    translation.call(Code.BROADCAST_TO, [given, wanted], [result], None, 2)


def tile(translation: Translation, node: onnx.NodeProto) -> None:
    """Tile, which repeats a value along its axes."""
    source, order = node.input[0], translation.order(node.input[0])
    times = integers(translation, node, 1, "repeats")
    given, scaling = moved(translation, source, order)
    result = translation.hold(node.output[0], order, scaling)
    counts = translation.constant(np.array([times[axis] for axis in order], np.int32))
    translation.call(Code.TILE, [given, counts], [result], schema.TileOptionsT(), 1)


def depth_to_space(translation: Translation, node: onnx.NodeProto) -> None:
    """DepthToSpace and SpaceToDepth. Of the mode CRD the channels are put in the other order first."""
    deep, block = node.op_type == "DepthToSpace", qdq.attribute(node, "blocksize", 1)
    last = layouts.channels_last(4)
    given, scaling = moved(translation, node.input[0], last)
    if deep and qdq.attribute(node, "mode", b"DCR") == b"CRD":
        channels = translation.shape(node.input[0])[1]
        places = np.arange(channels, dtype=np.int32).reshape(channels // block**2, block**2).T.ravel()
        sorted_ = translation.between(translation.graph.tensors[given].shape, scaling)
        along = option(schema.GatherOptionsT(), axis=3)
        translation.call(Code.GATHER, [given, translation.constant(places)], [sorted_], along, 2 if scaling else 1)
        given = sorted_
    result = translation.hold(node.output[0], last, scaling)
    made = schema.DepthToSpaceOptionsT() if deep else schema.SpaceToDepthOptionsT()
    options = option(made, blockSize=block)
    code = Code.DEPTH_TO_SPACE if deep else Code.SPACE_TO_DEPTH
    translation.call(code, [given], [result], options, 2 if scaling and not deep else 1)
