"""Convert a frozen TensorFlow graph to ONNX. Errors name the layers and operators that tf2onnx cannot convert."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
import tf2onnx
from tf2onnx.graph import Graph, Node

from octavo.onnx_graph import canonicalize, external_tensors, qdq
from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.training.frozen_graph import Frozen

OPSET = 17
RECURRENT = ("GRU", "If", "Loop", "LSTM", "RNN", "Scan")
"""Operators that tf2onnx finds by iterating over sets of nodes, or writes with subgraphs."""
NEXT = "Replace that layer, or bring the network as ONNX."


def to_onnx(frozen: Frozen, name: str) -> onnx.ModelProto:
    """The ONNX graph of the network called `name`. Operators have their layer as doc string.

    Raises:
        ModelError: tf2onnx fails, or leaves operators that ONNX does not have.
    """
    source, target = frozen.source.name, frozen.target.name
    kernels = {f"{kernel}:0": value for kernel, value in frozen.kernels.items()}
    with foreign_code.code(f"tf2onnx cannot convert network '{name}'", ModelError, advice=NEXT), _quiet():
        model, _ = tf2onnx.convert.from_graph_def(
            frozen.graph,
            input_names=[source, *kernels],
            output_names=[target],
            opset=OPSET,
            custom_op_handlers={"Erfc": (_convert_erfc, [])},
        )
    _name_layers(model.graph)
    if any(node.op_type in RECURRENT for node in model.graph.node):
        _forget_shared(model.graph, kernels)
        _order(model.graph)
    _refuse_unknown(model.graph, name)
    _declare(model.graph, kernels)
    return canonicalize.rename_ends(model, dict(zip((source, target), frozen.names, strict=True)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep tf2onnx from logging tracebacks. Operators that it leaves unconverted are found in the graph afterwards."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _convert_erfc(graph: Graph, node: Node, name: str, _: object) -> None:
    """Replace Erfc by 1 - Erf(y), and Erfc(-x · 1/√2) by 1 + Erf(x / √2), the form in which onnxruntime detects GELU.

    Both follow from the definition erfc(y) = 1 - erf(y), and from erf(-y) = -erf(y).
    """
    shapes, dtypes = node.output_shapes, node.output_dtypes
    one, root = (graph.make_const(f"{name}/{each:g}", np.float32(each)).output[0] for each in (1, np.sqrt(2)))
    kind, value = "Sub", node.input[0]
    scaled = _gelus_input(node.inputs[0])
    if scaled is not None:
        kind, value = "Add", graph.make_node("Div", [scaled, root], shapes=shapes, dtypes=dtypes).output[0]
    erf = graph.make_node("Erf", [value], shapes=shapes, dtypes=dtypes).output[0]
    graph.remove_node(node.name)
    graph.make_node(kind, [one, erf], name=name, outputs=node.output, shapes=shapes, dtypes=dtypes)


def _gelus_input(node: Node) -> str | None:
    """The name of x if `node` computes -x · 1/√2, else None."""
    if node.type != "Mul" or node.inputs[0].type != "Neg" or not node.inputs[1].is_const():
        return None
    return node.inputs[0].input[0] if np.allclose(node.inputs[1].get_tensor_value(), np.sqrt(0.5)) else None


def _name_layers(graph: onnx.GraphProto) -> None:
    """Set each operator's doc string to its layer. tf2onnx names an operator `network/layer/operator__number`."""
    for node in graph.node:
        node.doc_string = "/".join(node.name.split("/")[1:-1])


def _forget_shared(graph: onnx.GraphProto, kernels: Collection[str]) -> None:
    """Remove the layer's name from operators without weights: tf2onnx names a shared one after any of its layers."""
    weights = {
        tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims
    }
    for node in graph.node:
        if weights.union(kernels).isdisjoint(node.input) and not list(qdq.subgraphs(node)):
            node.ClearField("doc_string")


def _order(graph: onnx.GraphProto) -> None:
    """Sort operators and constants, in place, into the order in which the outputs need them.

    For recurrent layers, tf2onnx iterates over sets, so its order changes from process to process.
    """
    for node in graph.node:
        for inner in qdq.subgraphs(node):
            _order(inner)
    _copy_later_output(graph)
    makers, made = {output: node for node in graph.node for output in node.output}, set[str]()
    nodes: list[onnx.NodeProto] = []
    waiting = [value.name for value in reversed(graph.output)]
    while waiting:
        node = makers.get(waiting[-1])
        missing = [] if node is None else [name for name in qdq.reads(node) if name in makers and name not in made]
        if missing:
            waiting.append(missing[0])
            continue
        waiting.pop()
        if node is not None and made.isdisjoint(node.output):
            nodes.append(node)
            made.update(name for name in node.output if name)
    place = {name: place for place, name in enumerate(name for node in nodes for name in qdq.reads(node))}
    constants = sorted(graph.initializer, key=lambda tensor: place.get(tensor.name, len(place)))
    ordered = onnx.GraphProto(node=nodes, initializer=constants)
    graph.ClearField("node")
    graph.ClearField("initializer")
    graph.node.extend(ordered.node)
    graph.initializer.extend(ordered.initializer)


def _copy_later_output(graph: onnx.GraphProto) -> None:
    """If two outputs are the same value, make the second one the copy, in place. tf2onnx may copy either of them."""
    ends = {value.name: (place, value) for place, value in enumerate(graph.output)}
    for node in graph.node:
        source, copy = ends.get(node.input[0] if node.input else ""), ends.get(node.output[0])
        if node.op_type == "Identity" and source and copy and copy[0] < source[0]:
            source[1].name, copy[1].name = node.output[0], node.input[0]


def _refuse_unknown(graph: onnx.GraphProto, name: str) -> None:
    unknown = {f"{node.op_type} of layer '{node.doc_string or node.name}'": None for node in _unknown(graph)}
    if unknown:
        raise ModelError(f"tf2onnx cannot convert network '{name}': it does not support {', '.join(unknown)}. {NEXT}")


def _unknown(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Operators that ONNX does not have, also in subgraphs."""
    for node in graph.node:
        if not onnx.defs.has(node.op_type, node.domain):
            yield node
        for inner in qdq.subgraphs(node):
            yield from _unknown(inner)


def _declare(graph: onnx.GraphProto, kernels: Mapping[str, np.ndarray]) -> None:
    """Turn the inputs that replace kernels into initializers."""
    for value in [value for value in graph.input if value.name in kernels]:
        kernel = kernels[value.name]
        external_tensors.declare(graph, value.name, value.type.tensor_type.elem_type, kernel.shape)
        graph.input.remove(value)
