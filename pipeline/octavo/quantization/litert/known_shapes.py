"""What is known of a graph before it runs: the shapes of its values, and values that only depend on shapes.

LiteRT's kernels, and the delegates even more, want both as constants.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx

from octavo.backends.onnxruntime.intermediate_outputs import open_probe
from octavo.onnx_graph import canonicalize, external_tensors, qdq
from octavo.project.errors import ModelError

Shapes = dict[str, tuple[int, ...]]
FROM_SHAPE = ("Reshape", "Expand")
"""Operators whose form follows from the shape of their output."""
ROOTS = ("Shape", "Size")


def settle(model: onnx.ModelProto, example: Sequence[int]) -> tuple[Shapes, dict[str, int]]:
    """Find the shapes for one example, and make constants of what is computed from them, in place.

    Args:
        model: the graph, whose first axis of the input is the batch.
        example: shape of one example.

    Returns:
        Shapes by value, and for each value that grows with the batch, the axis that does.

    Raises:
        ModelError: a value grows along two axes.
    """
    one, two = (_shapes(model, batch, example) for batch in (1, 2))
    free: dict[str, int] = {}
    for name, shape in one.items():
        pairs = enumerate(zip(shape, two.get(name, shape), strict=True))
        axes = [axis for axis, (first, second) in pairs if first != second]
        if len(axes) > 1:
            raise ModelError(f"'{name}' grows along {len(axes)} axes with the batch, which has no form in LiteRT")
        free |= dict.fromkeys([name], axes[0]) if axes else {}
    names = list(_of_shapes(model))
    computed = [_values(model, names, batch, example) for batch in (1, 2)]
    _drop_targets(model, one)
    _fold(model, *computed)
    return one, free


def _shapes(model: onnx.ModelProto, batch: int, example: Sequence[int]) -> Shapes:
    """Shapes of all values for a batch: inferred, or if that leaves one open, seen when the network runs on zeros."""
    bare, _ = external_tensors.detach(model)
    shape = bare.graph.input[0].type.tensor_type.shape
    del shape.dim[:]
    for size in (batch, *example):
        shape.dim.add(dim_value=size)
    for output in bare.graph.output:
        output.type.tensor_type.ClearField("shape")
    del bare.graph.value_info[:]
    inferred = {} if any(map(_rounds_size, model.graph.node)) else qdq.shapes(bare)
    found = {name: tuple(size or 0 for size in sizes) for name, sizes in inferred.items() if None not in sizes}
    found[model.graph.input[0].name] = (batch, *example)
    lacking = [name for node in model.graph.node for name in node.output if name and name not in found]
    return found | {name: value.shape for name, value in _values(model, lacking, batch, example).items()}


def _rounds_size(node: onnx.NodeProto) -> bool:
    """Whether ONNX may infer another size than runtimes give.

    That happens with a pooling whose last window starts behind the image, and with a Resize by factors: runtimes
    multiply in float32.
    """
    by_factors = node.op_type == "Resize" and bool(node.input[min(2, len(node.input) - 1)])
    return by_factors or bool(qdq.attribute(node, "ceil_mode", 0))


def _values(model: onnx.ModelProto, names: Sequence[str], batch: int, example: Sequence[int]) -> dict[str, np.ndarray]:
    """What the network computes of a batch of zeros."""
    if not names:
        return {}
    session = open_probe(model, names)
    (source,) = session.get_inputs()
    kind = np.uint8 if source.type == "tensor(uint8)" else np.float32
    return dict(zip(names, session.run(list(names), {source.name: np.zeros((batch, *example), kind)}), strict=True))


def _drop_targets(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Drop targets of operators whose output's shape is known. A Resize keeps those that are constant."""
    known = qdq.constants(model)
    for node in model.graph.node:
        computed = any(name and name not in known for name in node.input[1:])
        if node.output[0] in shapes and (node.op_type in FROM_SHAPE or (node.op_type == "Resize" and computed)):
            node.input[:] = node.input[:1]


def _fold(model: onnx.ModelProto, one: Mapping[str, np.ndarray], two: Mapping[str, np.ndarray]) -> None:
    """Make constants of values that are the same for both batches, in place. What nothing reads any more goes."""
    for node in list(model.graph.node):
        for name in node.output:
            if name in one and np.array_equal(one[name], two[name]):
                node.output[:] = [f"{name}/computed" if other == name else other for other in node.output]
                model.graph.initializer.append(onnx.numpy_helper.from_array(one[name], name))
    canonicalize.drop_unread(model.graph)


def _of_shapes(model: onnx.ModelProto) -> Iterator[str]:
    """Values that are computed from shapes, and constants beside them."""
    known, derived = set(qdq.constants(model)), set[str]()
    for node in model.graph.node:
        given = set(filter(None, node.input))
        if node.op_type in ROOTS or (given & derived and given <= known | derived):
            derived.update(node.output)
            yield from node.output
