"""The graph of a SavedModel with its variables as constants."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from octavo.project.errors import ModelError
from octavo.training import frozen_graph
from octavo.training.keras_files.saved_models.operators import VARIABLES


def with_values(graph: GraphDef, values: Mapping[str, np.ndarray], folder: Path) -> dict[str, np.ndarray]:
    """Make the variables of a flat graph constants, in place, except large kernels, which become placeholders.

    Args:
        graph: nodes without functions.
        values: of the variables, by the names of their nodes.
        folder: that it was read from, for messages.

    Returns:
        The values of the large kernels, by the names of their placeholders.

    Raises:
        ModelError: the graph is too large.
    """
    nodes = [made for node in graph.node for made in _of_constants(node)]
    del graph.node[:]
    graph.node.extend(nodes)
    kernels = {name: value for name, value in values.items() if frozen_graph.goes_around(graph, name, value)}
    size = graph.ByteSize() + sum(value.nbytes for name, value in values.items() if name not in kernels)
    if size > frozen_graph.LIMIT:
        raise ModelError(f"{folder} has a graph of {size:,} bytes, past protobuf's limit of 2 GB. Bring it as ONNX.")
    for node in graph.node:
        if node.name in kernels:
            _make_placeholder(node, kernels[node.name])
        elif node.op in VARIABLES:
            frozen_graph.make_constant(node, values[node.name])
    return kernels


def _of_constants(node: NodeDef) -> Iterator[NodeDef]:
    """The operator as it is on constants: a gather from a variable is one from a tensor."""
    if node.op == "ResourceGather":
        axis = NodeDef(name=f"{node.name}/of_axis", op="Const")
        axis.attr["dtype"].type = types_pb2.DT_INT32
        frozen_graph.make_constant(axis, np.asarray(0, np.int32))
        gather = NodeDef(name=node.name, op="GatherV2", input=[*node.input, f"{axis.name}:0"])
        gather.attr["Tparams"].type = node.attr["dtype"].type
        gather.attr["Tindices"].type = node.attr["Tindices"].type
        gather.attr["Taxis"].type = types_pb2.DT_INT32
        gather.attr["batch_dims"].i = node.attr["batch_dims"].i
        yield from (axis, gather)
    elif node.op != "NoOp":
        yield node


def _make_placeholder(node: NodeDef, value: np.ndarray) -> None:
    kind = node.attr["dtype"].type
    node.op = "Placeholder"
    node.ClearField("attr")
    node.attr["dtype"].type = kind
    for size in value.shape:
        node.attr["shape"].shape.dim.add(size=size)
