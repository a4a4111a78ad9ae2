"""Write an ONNX graph as a LiteRT file. Each operator is said in LiteRT's; one that cannot be said is named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import onnx
from onnx import TensorProto

from octavo.backends.litert.content.packing import FileGraph, pack
from octavo.data.input_encoding import told
from octavo.onnx_graph import canonicalize
from octavo.onnx_graph.rewrites import network_input
from octavo.project.errors import ModelError, some
from octavo.project.params.encoding import Layout
from octavo.quantization.litert import fusions, known_shapes, layouts
from octavo.quantization.litert.cleaning import clean
from octavo.quantization.litert.operators import rounding
from octavo.quantization.litert.operators.table import TABLE
from octavo.quantization.litert.translation import Code, Translation, Type

Ends = Literal["float32", "int8"]
"""Type of the model file's input and output: float, or the integers that the file computes in."""
LAST: dict[Layout, Layout] = {"channels_first": "stored", "channel_added_first": "channel_added_last"}
"""Layouts with the channels first -> the same example with the channels last, as LiteRT takes it."""
IN_PARTS = ("Constant", "ConstantOfShape", "Erf", "Mod", "Range", "Shape", "Size")
"""Operators without a form of their own, which often go with the parts of another one, or with computed shapes."""
LIMIT = 2**31 - 2**20
"""Bytes of weights: the offsets in a file have 31 bits."""


class Written(NamedTuple):
    content: bytes
    layers: dict[str, str]
    """The layer that computes a tensor, by the tensor's number."""


def write(
    model: onnx.ModelProto, example: Sequence[int], rounds_inputs: bool = False, ends: Ends = "float32"
) -> Written:
    """The LiteRT file of a graph that `preparation.prepare` prepared, quantized or not.

    If the encoding of the input has the channels first, the file takes them last, and declares it.

    Args:
        model: the graph; not changed.
        example: shape of one example in the network's input encoding, without the batch.
        rounds_inputs: whether layers with large int8 weights and float inputs round these at each call.
        ends: type of input and output.

    Raises:
        ModelError: an operator has no form in LiteRT, or the graph is larger than a file can be.
    """
    graph = onnx.ModelProto()
    graph.CopyFrom(model)
    check_operators(graph)
    try:
        shapes, free = known_shapes.settle(graph, example)
    except ModelError as error:
        raise _refused(str(error)) from None
    fusions.fuse(graph)
    canonicalize.drop_unread(graph.graph)
    translation = Translation(graph, shapes, free, rounds_inputs)
    encoding = network_input.encoding(graph)
    _begin(translation, graph, encoding.layout)
    layers: dict[int, str] = {}
    done = rounding.keep_constants(translation, graph)
    for node in graph.graph.node:
        if done.isdisjoint(node.output) and translation.fused.isdisjoint(node.output):
            before = len(translation.graph.calls)
            _translate(translation, node)
            layers |= {call.outputs[0]: node.doc_string for call in translation.graph.calls[before:] if node.doc_string}
    _end(translation, graph, ends)
    translation.graph.metadata = told(
        encoding.model_copy(update={"layout": LAST.get(encoding.layout, encoding.layout)})
    )
    cleaned, numbers = clean(translation.graph)
    _check_size(cleaned)
    named = {str(numbers[tensor]): layer for tensor, layer in layers.items() if tensor in numbers}
    return Written(pack(cleaned), named)


def check_operators(model: onnx.ModelProto) -> None:
    """Name the operators that LiteRT has not, before another one is at fault for them.

    Raises:
        ModelError: there are some.
    """
    strange = {
        f"{node.op_type} (layer '{node.doc_string}')" if node.doc_string else node.op_type
        for node in model.graph.node
        if (node.op_type not in TABLE and node.op_type not in IN_PARTS) or node.domain not in ("", "ai.onnx")
    }
    if strange:
        raise _refused(f"{some(sorted(strange))} has no form in LiteRT")


def _translate(translation: Translation, node: onnx.NodeProto) -> None:
    layer = f"layer '{node.doc_string}': " if node.doc_string else ""
    translator = TABLE.get(node.op_type)
    if translator is None:
        raise _refused(f"{layer}{node.op_type} has no form in LiteRT where it stands alone")
    try:
        translator(translation, node)
    except ModelError as error:
        raise _refused(f"{layer}{error}") from None


def _refused(reason: str) -> ModelError:
    return ModelError(
        f"The network cannot be written as a LiteRT file: {reason}. Replace that layer, keep to ONNX files of this "
        "network, or if it has a SavedModel, take a recipe that ends in _tensorflow."
    )


def _begin(translation: Translation, model: onnx.ModelProto, layout: Layout) -> None:
    """The tensor of the input."""
    (source,) = model.graph.input
    types = {TensorProto.FLOAT: Type.FLOAT32, TensorProto.UINT8: Type.UINT8}
    kind = types.get(source.type.tensor_type.elem_type)
    if kind is None:
        raise _refused("its input is neither float32 nor uint8")
    rank = translation.rank(source.name)
    order = layouts.channels_last(rank) if layout in LAST else layouts.same(rank)
    tensor = translation.between(layouts.shaped(translation.shape(source.name), order), type_=kind)
    translation.graph.tensors[tensor] = replace(translation.graph.tensors[tensor], name=source.name)
    translation.hold_as(source.name, tensor, order)
    translation.graph.inputs = [tensor]


def _end(translation: Translation, model: onnx.ModelProto, ends: Ends) -> None:
    """The tensor of the output; in integers input and output without the operators that round them.

    Raises:
        ModelError: integers are asked for, and the graph rounds its input or output not.
    """
    (target,) = model.graph.output
    order, whole = layouts.same(translation.rank(target.name)), ends == "int8"
    graph = translation.graph
    if whole and not translation.is_integer(target.name):
        raise _refused("its output is not in integers, so io: int8 is not possible")
    tensor = translation.tensor(target.name, order, whole)
    if tensor in graph.inputs or graph.tensors[tensor].data is not None:
        raise _refused("it computes nothing")
    graph.tensors[tensor] = replace(graph.tensors[tensor], name=target.name)
    graph.outputs = [tensor]
    if whole:
        (source,) = graph.inputs
        readers = [call for call in graph.calls if source in call.inputs]
        if [call.code for call in readers] != [Code.QUANTIZE]:
            raise _refused("its input is not rounded to one range of integers, so io: int8 is not possible")
        graph.calls.remove(readers[0])
        (inner,) = readers[0].outputs
        graph.tensors[inner] = replace(graph.tensors[inner], name=graph.tensors[source].name)
        graph.inputs = [inner]


def _check_size(graph: FileGraph) -> None:
    held = sum(len(tensor.data) for tensor in graph.tensors if tensor.data is not None)
    if held > LIMIT:
        raise _refused(f"its weights take {held:,} bytes, and a LiteRT file holds at most {LIMIT:,}")
