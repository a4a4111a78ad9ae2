"""Make the batch of a network free that was written for one batch size.

Exporters write the size into the input, into targets of Reshape, and into shapes that Expand takes. Here it is taken
out of all of them. Whether the network then treats each example by itself is for `comparison` to check, by running it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from onnx import numpy_helper

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign import acceptance
from octavo.project.errors import ModelError

BATCH = "N"
Shape = Sequence[int | None]


def free(model: onnx.ModelProto, path: Path) -> int | None:
    """Make the batch free, in place. The output's declared shape becomes the one that its operators have.

    Returns:
        The batch size for which the network was written; None if it was free.

    Raises:
        ModelError: the graph's shapes contradict each other, or the output has no known shape.
    """
    (source,), (target,) = model.graph.input, model.graph.output
    declared = tuple(dim.dim_value or None for dim in target.type.tensor_type.shape.dim)
    target.type.tensor_type.ClearField("shape")  # what is declared may be wrong
    shapes = _shapes(model, path)
    shape = shapes.get(target.name) or declared
    if not shape:
        _require_shapes_that_fit(model, path)
        raise ModelError(
            f"The output {target.name} of {path} has no known shape. Export the network with the shape of its output."
        )
    first = source.type.tensor_type.shape.dim[0]
    batch = first.dim_value if first.HasField("dim_value") else None
    if batch is not None:
        _free_targets(model, shapes, batch)
        first.dim_param = BATCH
    _declare(target, shape)
    return batch


def _shapes(model: onnx.ModelProto, path: Path) -> qdq.Shapes:
    try:
        return qdq.shapes(model)
    except (onnx.shape_inference.InferenceError, EncodeError) as error:
        raise acceptance.invalid(path, error) from None


def _require_shapes_that_fit(model: onnx.ModelProto, path: Path) -> None:
    """Find the operator because of which a shape is unknown.

    Raises:
        ModelError: an operator does not take the shapes that it is given. The message names it.
    """
    try:
        onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        raise acceptance.invalid(path, error) from None


def _declare(target: onnx.ValueInfoProto, shape: Shape) -> None:
    for place, size in enumerate(shape):
        dim = target.type.tensor_type.shape.dim.add()
        if place == 0:
            dim.dim_param = BATCH
        elif size is not None:
            dim.dim_value = size


def _free_targets(model: onnx.ModelProto, shapes: qdq.Shapes, batch: int) -> None:
    known = qdq.constants(model)
    for node in model.graph.node:
        if node.op_type not in ("Reshape", "Expand") or node.input[1] not in known:
            continue
        shape, source = shapes.get(node.output[0]), shapes.get(node.input[0])
        target = numpy_helper.to_array(known[node.input[1]])
        if target.ndim != 1 or not shape or shape[0] != batch or node.input[0] in known:
            continue
        if node.op_type == "Expand":
            freed = [1, *target[1:]] if len(target) == len(source or ()) and target[0] == batch else None
        else:
            freed = _freed(target, shape, source)
        if freed is not None:
            node.input[1] = qdq.add_constant(model, f"{node.output[0]}/free", np.array(freed, np.int64))


def _freed(target: np.ndarray, shape: Shape, source: Shape | None) -> list[int] | None:
    """The target of a Reshape without the batch; None if it has none, or if it cannot be written without."""
    if target[0] == 0:
        return None
    rest = [int(size) for size in target[1:]]
    if -1 in rest:
        if shape[rest.index(-1) + 1] is None:
            return None
        rest[rest.index(-1)] = int(shape[rest.index(-1) + 1] or 0)
    if 0 in rest and source:
        rest = [int(source[place + 1] or 0) if size == 0 else size for place, size in enumerate(rest)]
    return None if 0 in rest else [-1, *rest]
