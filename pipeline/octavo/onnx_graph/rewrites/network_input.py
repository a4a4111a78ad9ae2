"""The input of an ONNX network: the encoding that its metadata declare, and how it takes bytes instead of floats."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.data import input_encoding
from octavo.onnx_graph import file_io, qdq
from octavo.onnx_graph.integer_ranges import LEVELS
from octavo.project.errors import ModelError
from octavo.project.params.encoding import InputEncoding, Layout


def encoding(model: onnx.ModelProto) -> InputEncoding:
    """The encoding of the network's input: the declared one, or the default of its data type.

    Raises:
        ModelError: what it declares is not an encoding.
    """
    takes_bytes = model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    return input_encoding.declared({item.key: item.value for item in model.metadata_props}, takes_bytes)


def encoding_of(path: Path) -> InputEncoding:
    """As `encoding`, of an ONNX file. Its external data are not read.

    Raises:
        ModelError: the file cannot be read.
    """
    return encoding(file_io.load(path, external=False))


def declare(model: onnx.ModelProto, encoding: InputEncoding) -> None:
    """Declare the encoding of the network's input in its metadata, in place. The default encoding leaves no entry."""
    others = [item for item in model.metadata_props if item.key != input_encoding.KEY]
    kept = [onnx.StringStringEntryProto(key=item.key, value=item.value) for item in others]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in input_encoding.told(encoding).items():
        model.metadata_props.add(key=key, value=value)


def require(images: np.ndarray) -> None:
    """Check that images (N, H, W[, C]) can be given as bytes.

    Raises:
        ModelError: they are float and leave 0..1, so that bytes cannot represent them.
    """
    if images.dtype == np.uint8 or not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise ModelError(
            f"A network takes bytes only if images are uint8, or float in 0..1; these run from {low:g} to {high:g}. "
            "Remove the option take_bytes, or give images as uint8."
        )


def take_bytes(model: onnx.ModelProto) -> None:
    """Make `model` take the bytes that its encoding makes floats of, in place. The axes of its input stay.

    If the network first quantizes its input, and that gives the bytes back, the operator is removed. Any other network
    first does what `encode` does, in the same order, so its answers are the same bits. A network that takes bytes stays
    as it is.
    """
    (source,) = model.graph.input
    declared = encoding(model)
    if declared.dtype == "uint8":
        return
    source.type.tensor_type.elem_type = TensorProto.UINT8
    readers = qdq.consumers(model)[source.name]
    if [node.op_type for node in readers] == ["QuantizeLinear"] and _gives_bytes_back(model, readers[0], declared):
        _rename(model, readers[0].output[0], source.name)
        model.graph.node.remove(readers[0])
    else:
        _rename(model, source.name, f"{source.name}/pixels")
        _encode(model, source, declared)
    declare(model, input_encoding.of_bytes(declared))


def _gives_bytes_back(model: onnx.ModelProto, quantize_linear: onnx.NodeProto, declared: InputEncoding) -> bool:
    """Whether every byte of every channel is quantized to itself."""
    constants = qdq.initializers(model)
    if any(name not in constants for name in quantize_linear.input[1:]):
        return False
    scale, zero = (constants[name] for name in quantize_linear.input[1:])
    every, real = input_encoding.every_byte(declared)
    return np.array_equal(np.clip(np.rint(real / scale) + zero, 0, LEVELS), every)


def _rename(model: onnx.ModelProto, read: str, by: str) -> None:
    for node in model.graph.node:
        node.input[:] = [by if name == read else name for name in node.input]


def _encode(model: onnx.ModelProto, source: onnx.ValueInfoProto, declared: InputEncoding) -> None:
    """Insert the operators of `encode` between the input and the value `<input>/pixels`."""
    name, rank = source.name, len(source.type.tensor_type.shape.dim)
    steps = [("Div", "levels", np.array(declared.scale, np.float32))]
    steps += [("Sub", "mean", per_channel(declared.mean, declared.layout, rank))] if declared.mean else []
    steps += [("Div", "std", per_channel(declared.std, declared.layout, rank))] if declared.std else []
    nodes = [helper.make_node("Cast", [name], [f"{name}/float"], to=TensorProto.FLOAT)]
    for operator, constant, values in steps:
        model.graph.initializer.append(numpy_helper.from_array(values, f"{name}/{constant}"))
        given = nodes[-1].output[0]
        nodes.append(helper.make_node(operator, [given, f"{name}/{constant}"], [f"{name}/{constant}/done"]))
    nodes[-1].output[0] = f"{name}/pixels"
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)


def per_channel(values: tuple[float, ...], layout: Layout, rank: int) -> np.ndarray:
    """Values of an encoding in float32, in a shape that lies along the axis of the input that was the last one.

    Args:
        values: one per channel, or one for all.
        layout: of the encoding.
        rank: number of dimensions of the network's input; 0 if it is unknown.

    Raises:
        ModelError: the rank is unknown.
    """
    if len(values) > 1 and rank < 2:
        raise ModelError(
            "The network does not declare the axes of its input, so no mean or std per channel can become a part of "
            "it. Remove the option take_bytes."
        )
    behind = {"channels_first": rank - 2, "channel_added_last": 1}.get(layout, 0)
    return np.asarray(values, np.float32).reshape(-1, *[1] * behind)
