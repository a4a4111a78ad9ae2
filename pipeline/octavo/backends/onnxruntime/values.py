"""All values of an ONNX graph and of the bodies of its Loop, If and Scan, found by running them once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from octavo.backends.onnxruntime import intermediate_outputs
from octavo.backends.onnxruntime.loops import trips
from octavo.backends.onnxruntime.macs import Values, attribute
from octavo.onnx_graph import qdq

FAILURES = (
    failures.Fail,
    failures.InvalidArgument,
    failures.InvalidGraph,
    failures.NotImplemented,
    failures.RuntimeException,
)


@dataclass(frozen=True)
class Body:
    """A graph, or one run of a subgraph."""

    graph: onnx.GraphProto
    values: Values | None
    """Name -> value, for every value that its operators may read; None if the subgraph could not be run alone."""
    constants: frozenset[str]
    """Names of the values that are stored in the file."""
    times: int | None
    """Number of its runs for one run of the operator that contains it; None if that depends on data."""


def main_body(model: onnx.ModelProto, images: np.ndarray | None = None) -> Body:
    """The model's own graph, run on images in its input encoding, by default one image of zeros.

    Raises:
        ModelError: the run does not finish.
    """
    return Body(model.graph, values(model, images), _stored(model.graph), 1)


def values(model: onnx.ModelProto, images: np.ndarray | None = None) -> dict[str, Any]:
    """Name -> value, for every value of the graph, from a run on images in its input encoding.

    Without `images`, one image of zeros is used. Further inputs are zeros.

    Raises:
        ModelError: the run does not finish.
    """
    constants = qdq.initializers(model)
    sources = [source for source in model.graph.input if source.name not in constants]
    feeds = {source.name: _zeros(source) for source in sources}
    if images is not None:
        feeds[sources[0].name] = images
    return constants | feeds | _run(model, feeds)


def inside(node: onnx.NodeProto, around: Body, model: onnx.ModelProto) -> list[Body]:
    """The subgraphs of a Loop, If or Scan, run on the values of the surrounding graph; none for other operators.

    Args:
        node: an operator of `around`.
        around: the surrounding graph.
        model: the source of the operator set versions.

    Raises:
        ModelError: a run does not finish.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("If", "Loop", "Scan"):
        return []
    return [_body(node, graph, around, model) for graph in subgraphs(node)]


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs among the operator's attributes."""
    return [
        graph
        for item in node.attribute
        for graph in ([item.g] if item.type == onnx.AttributeProto.GRAPH else item.graphs)
    ]


def captured(graph: onnx.GraphProto) -> list[str]:
    """Names that a subgraph, or one inside it, reads from the graphs around it."""
    own = {value.name for value in (*graph.input, *graph.initializer)}
    own |= {output for node in graph.node for output in node.output}
    read = [name for node in graph.node for name in node.input if name]
    read += [name for node in graph.node for inner in subgraphs(node) for name in captured(inner)]
    read += [value.name for value in graph.output]
    return list(dict.fromkeys(name for name in read if name not in own))


def _zeros(source: onnx.ValueInfoProto) -> np.ndarray:
    tensor = source.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return np.zeros([dim.dim_value or 1 for dim in tensor.shape.dim], dtype)


def _run(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    names = list(dict.fromkeys(output for node in model.graph.node for output in node.output if output))
    return dict(
        zip(names, intermediate_outputs.run(intermediate_outputs.open_probe(model, names), names, feeds), strict=True)
    )


def _stored(graph: onnx.GraphProto) -> frozenset[str]:
    return frozenset(tensor.name for tensor in graph.initializer) | {
        node.output[0] for node in graph.node if node.op_type == "Constant"
    }


def _body(node: onnx.NodeProto, graph: onnx.GraphProto, around: Body, model: onnx.ModelProto) -> Body:
    constants = around.constants | _stored(graph)
    try:
        outer = dict(around.values or {})
        feeds = dict(zip((source.name for source in graph.input), _arguments(node, outer), strict=True))
        feeds |= {name: outer[name] for name in captured(graph)}
        alone = _alone(graph, feeds, model)
        found = qdq.initializers(alone) | feeds | _run(alone, feeds)
        return Body(graph, found, constants, _times(node, graph, outer | found, constants, model))
    except (*FAILURES, KeyError, IndexError, TypeError, ValueError, AttributeError):
        return Body(graph, None, constants, None)


def _arguments(node: onnx.NodeProto, outer: Values) -> list[Any]:
    """The inputs of the body in its first run."""
    given: list[Any] = [outer[name] if name else None for name in node.input]
    if node.op_type == "If":
        return []
    if node.op_type == "Loop":
        return [np.array(0, np.int64), np.array(True), *given[2:]]
    count = attribute(node, "num_scan_inputs", 1)
    axes = attribute(node, "scan_input_axes", [0] * count)
    slices = [np.take(value, 0, axis) for value, axis in zip(given[-count:], axes, strict=True)]
    return [*given[:-count], *slices]


def _times(
    node: onnx.NodeProto,
    graph: onnx.GraphProto,
    found: Mapping[str, Any],
    constants: frozenset[str],
    model: onnx.ModelProto,
) -> int | None:
    """Number of runs of a body. For a Loop it is None unless it depends only on the file and no state changes shape."""
    if node.op_type == "If":
        return 1
    if node.op_type == "Loop":
        return trips(node, graph, found, constants, model) if _keeps_shapes(graph, found) else None
    count = attribute(node, "num_scan_inputs", 1)
    axes = attribute(node, "scan_input_axes", [0] * count)
    return int(found[node.input[-count]].shape[axes[0]])


def _keeps_shapes(graph: onnx.GraphProto, found: Values) -> bool:
    """Whether each state has the same shape before and after an iteration."""
    states = [source.name for source in graph.input[2:]]
    after = [target.name for target in graph.output[1 : 1 + len(states)]]
    return all(found[old].shape == found[new].shape for old, new in zip(states, after, strict=True))


def _alone(graph: onnx.GraphProto, feeds: Mapping[str, np.ndarray], model: onnx.ModelProto) -> onnx.ModelProto:
    """The body as a separate model. Everything that it reads is an input."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feeds.items()
    ]
    made = helper.make_graph(graph.node, "body", inputs, graph.output, graph.initializer)
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version)
