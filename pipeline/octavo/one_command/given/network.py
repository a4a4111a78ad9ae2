"""The user's network: what its file takes and gives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnx import TensorProto

from octavo.onnx_graph import canonicalize
from octavo.project.errors import ModelError

Layout = Literal["nchw", "nhwc"]
CHANNELS = (1, 3, 4)
"""Sizes of an axis that is taken for that of the channels."""
INTEGERS = (TensorProto.INT8, TensorProto.UINT8)
IMAGE = 3
"""Axes of an image with channels."""


@dataclass(frozen=True)
class FloatNetwork:
    """A float network with one input and one output."""

    model: onnx.ModelProto
    shape: tuple[int | None, ...]
    """Of one example as the network takes it; None for a free size."""
    layout: Layout | None
    """Where the channels are; None if examples have no axis of channels."""

    @property
    def channels(self) -> int | None:
        """Number of channels; None if there is no such axis, or if it is free."""
        return None if self.layout is None else self.shape[0 if self.layout == "nchw" else -1]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of its images; None if they are free, or if it takes no images."""
        sides = {"nchw": self.shape[1:], "nhwc": self.shape[:-1], None: self.shape}[self.layout]
        if len(sides) != 2 or sides[0] is None or sides[1] is None:
            return None
        return sides[0], sides[1]

    @property
    def is_quantized(self) -> bool:
        """Whether it was trained with fake quantization: it has operators that quantize."""
        return any(node.op_type == "QuantizeLinear" for node in self.model.graph.node)


def read(path: Path, layout: Layout | None) -> FloatNetwork:
    """Read the ONNX file.

    Args:
        path: of the file.
        layout: as the user gives it; None to take it from the shape of the input.

    Raises:
        ModelError: it is not such a network, or its layout is open.
    """
    model = canonicalize.load(path)
    for node in model.graph.node:
        node.doc_string = node.doc_string or node.name
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    for what, values in (("inputs", inputs), ("outputs", model.graph.output)):
        if len(values) != 1:
            names = ", ".join(value.name for value in values) or "none"
            raise ModelError(f"{path} has {len(values)} {what} ({names}), and one is needed. Export a part with one.")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(
            f"The input {inputs[0].name} of {path} is {name}, and float32 is needed. Export the float model."
        )
    _require_float(model, path)
    dims = tensor.shape.dim
    if len(dims) < 2:
        raise ModelError(
            f"The input {inputs[0].name} of {path} has {len(dims)} axes; examples need two or more, (N, …)."
        )
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    shape = tuple(dim.dim_value or None for dim in dims[1:])
    return FloatNetwork(model, shape, _layout(shape, layout, path))


def _require_float(model: onnx.ModelProto, path: Path) -> None:
    """Check that no layer has integer weights."""
    integers = {tensor.name for tensor in model.graph.initializer if tensor.data_type in INTEGERS and tensor.dims}
    for node in model.graph.node:
        if integers.intersection(node.input) and ("quant" in node.op_type.lower() or "Integer" in node.op_type):
            where = node.doc_string or node.output[0]
            raise ModelError(
                f"{path} is quantized already, first in {where}. Give the float model that it was made from."
            )


def _layout(shape: tuple[int | None, ...], given: Layout | None, path: Path) -> Layout | None:
    if len(shape) != IMAGE:
        if given is not None:
            raise ModelError(
                f"{path} takes examples of shape {written(shape)}, which have no channels. Remove --layout."
            )
        return None
    if given is not None:
        return given
    found: list[Layout] = [name for name, place in (("nchw", 0), ("nhwc", 2)) if shape[place] in CHANNELS]  # type: ignore[misc]
    if len(found) != 1:
        raise ModelError(
            f"{path} takes examples of shape {written(shape)}, from which it is not clear where the channels are. Add "
            "--layout nchw or --layout nhwc."
        )
    return found[0]


def written(shape: tuple[int | None, ...]) -> str:
    """A shape for people.

    >>> written((3, None, 32))
    '(3, any, 32)'
    """
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
