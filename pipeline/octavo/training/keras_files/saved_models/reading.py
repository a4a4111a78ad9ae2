"""The network in a SavedModel, as a graph of constants that may be run: every operator of it is known."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo

from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.training.frozen_graph import LIMIT, Frozen
from octavo.training.keras_files.saved_models import constants, container, operators, variables
from octavo.training.keras_files.saved_models.container import Contents
from octavo.training.keras_files.saved_models.flat_graph import FlatGraph
from octavo.training.keras_files.saved_models.flattening import flatten


@dataclass(frozen=True)
class Served:
    """What the signature of a SavedModel computes."""

    folder: Path
    frozen: Frozen
    graph: tf.Graph
    signature: str
    others: tuple[str, ...]
    """The signatures that are not taken."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Of one example as the network takes it; None for a free size."""
        sizes = (dim.size for dim in self.frozen.source.tensor_shape.dim[1:])
        return tuple(None if size < 0 else size for size in sizes)

    def run(self, examples: np.ndarray) -> np.ndarray:
        """TensorFlow's outputs, float32 (N, …), of examples, float32 (N, …).

        Raises:
            ModelError: TensorFlow cannot run the graph on them.
        """
        kernels = {f"{name}:0": value for name, value in self.frozen.kernels.items()}
        what = f"TensorFlow cannot run the graph in {self.folder}"
        with (
            foreign_code.code(what, ModelError, advice=operators.NEXT),
            tf.compat.v1.Session(graph=self.graph) as session,
        ):
            return np.asarray(session.run(self.frozen.target.name, {self.frozen.source.name: examples, **kernels}))


def read(folder: Path) -> Served:
    """The network in a SavedModel: the graph of its signature, with functions in place and variables as constants.

    Raises:
        ModelError: the folder is refused by `container`; or the graph has an operator that does more than compute, has
            variables without values, or is damaged.
    """
    contents = container.look_into(folder)
    meta, (source, target) = contents.meta, (end.info.name for end in (contents.source, contents.target))
    whole = flatten(meta.graph_def, target.partition(":")[0], folder)
    operators.check(whole.nodes.values(), folder)
    flat = whole.needed(target)
    _check_ends(flat, contents, folder)
    flat.nodes[flat.tensor(source).partition(":")[0]].attr["shape"].shape.CopyFrom(contents.source.info.tensor_shape)
    kept = [node for node in flat.nodes.values() if node.op in operators.VARIABLES]
    graph = GraphDef(node=flat.nodes.values(), versions=meta.graph_def.versions)
    kernels = constants.with_values(graph, variables.values(meta, kept, folder), folder)
    inputs, outputs = (_renamed(end.info, flat.tensor(end.info.name)) for end in (contents.source, contents.target))
    frozen = Frozen(graph, inputs, outputs, kernels, (contents.source.name, contents.target.name))
    imported = tf.Graph()
    with foreign_code.code(f"TensorFlow cannot build the graph in {folder}", ModelError, advice=operators.NEXT):
        with imported.as_default():
            tf.import_graph_def(graph, name="")
        imported.get_tensor_by_name(frozen.target.name)
    _check_sizes(imported, folder)
    return Served(folder, frozen, imported, contents.signature, contents.others)


def _check_ends(flat: FlatGraph, contents: Contents, folder: Path) -> None:
    """Check that the graph computes its output from its input, and needs no other one."""
    source, target = (flat.tensor(end.info.name) for end in (contents.source, contents.target))
    if source == target:
        raise ModelError(f"{folder} gives its input {contents.source.name} back and computes nothing.")
    inputs = {f"{node.name}:0" for node in flat.nodes.values() if node.op == "Placeholder"}
    if source not in inputs:
        raise ModelError(
            f"The output {contents.target.name} of {folder} is not computed from the input {contents.source.name}. "
            "Export the network with the signature of its inference."
        )
    if others := sorted(name.removesuffix(":0") for name in inputs - {source}):
        raise ModelError(
            f"{folder} needs an input {others[0]} that signature {contents.signature} does not have. Export the "
            "network with a constant in its place."
        )


def _check_sizes(graph: tf.Graph, folder: Path) -> None:
    """Check that no operator gives more than a graph may hold, for one example, as far as shapes say before it runs."""
    for operator in graph.get_operations():
        for tensor in operator.outputs:
            sides = tensor.shape.as_list() if tensor.shape.rank is not None else []
            if math.prod(side or 1 for side in sides) * tensor.dtype.size > LIMIT:
                raise ModelError(
                    f"Operator {operator.type} ({operator.name[:120]}) in {folder} gives values of shape "
                    f"{tensor.shape}, and at most {LIMIT:,} bytes are computed for one example. {operators.NEXT}"
                )


def _renamed(info: TensorInfo, name: str) -> TensorInfo:
    renamed = TensorInfo()
    renamed.CopyFrom(info)
    renamed.name = name
    return renamed
