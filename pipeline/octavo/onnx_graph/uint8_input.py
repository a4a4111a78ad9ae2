"""Let a network take uint8 images in 0..255: the same answers with a quarter of the input bytes."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.data.input_encoding import IMAGES, encode
from octavo.onnx_graph import qdq
from octavo.onnx_graph.integer_ranges import LEVELS
from octavo.project.errors import ModelError


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
    """Make `model` take uint8 instead of float32 in 0..1, in place.

    Quantizing an image that was scaled to 0..1 gives its bytes back. If that is the first operator, it is removed. A
    network that first does something else, such as subtracting a mean, scales the bytes itself.
    """
    (source,) = model.graph.input
    source.type.tensor_type.elem_type = TensorProto.UINT8
    readers = qdq.consumers(model)[source.name]
    if [node.op_type for node in readers] == ["QuantizeLinear"] and _gives_bytes_back(model, readers[0]):
        _rename(model, readers[0].output[0], source.name)
        model.graph.node.remove(readers[0])
    else:
        _rename(model, source.name, f"{source.name}/pixels")
        _scale(model, source.name)


def _gives_bytes_back(model: onnx.ModelProto, quantize_linear: onnx.NodeProto) -> bool:
    constants, every = qdq.initializers(model), np.arange(LEVELS + 1)
    scale, zero = (constants[name] for name in quantize_linear.input[1:])
    return np.array_equal(np.clip(np.rint(encode(every.astype(np.uint8)) / scale) + zero, 0, LEVELS), every)


def _rename(model: onnx.ModelProto, read: str, by: str) -> None:
    for node in model.graph.node:
        node.input[:] = [by if name == read else name for name in node.input]


def _scale(model: onnx.ModelProto, source: str) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(IMAGES.scale, np.float32), f"{source}/levels"))
    nodes = [
        helper.make_node("Cast", [source], [f"{source}/float"], to=TensorProto.FLOAT),
        helper.make_node("Div", [f"{source}/float", f"{source}/levels"], [f"{source}/pixels"]),
    ]
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)
