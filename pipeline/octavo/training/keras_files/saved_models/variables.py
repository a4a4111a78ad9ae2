"""The values of variables in a SavedModel, read as data: no part of the graph runs to restore them."""

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from octavo.onnx_graph.foreign.acceptance import check_finite
from octavo.project import foreign_code
from octavo.project.errors import ModelError
from octavo.training.keras_files.saved_models.flattening import flatten

PREFIX = Path("variables", "variables")
ASSIGNING = ("Assign", "AssignVariableOp")
AGAIN = "Export the network again."


def values(meta: MetaGraphDef, variables: Collection[NodeDef], folder: Path) -> dict[str, np.ndarray]:
    """The stored values of variables of the graph, by the names of their nodes.

    Args:
        meta: the graph, with the nodes that a loader would run to restore the variables.
        variables: nodes of the graph.
        folder: of the SavedModel.

    Raises:
        ModelError: a value is missing, of another shape or type, NaN, or too large for the files.
    """
    if not variables:
        return {}
    prefix = (folder / PREFIX).absolute()
    if not prefix.with_suffix(".index").is_file():
        raise ModelError(f"{folder} has variables, and no file {PREFIX}.index with their values. {AGAIN}")
    keys = _keys(meta, folder)
    stored = sum(path.stat().st_size for path in prefix.parent.iterdir())
    with foreign_code.code(f"The variables of {folder} cannot be read", ModelError, advice=AGAIN):
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        found = {}
        for node in variables:
            key, kind = keys.get(node.name), tf.as_dtype(node.attr["dtype"].type)
            if key not in shapes:
                raise ModelError(f"{folder} has no stored value of variable {node.name}. {AGAIN}")
            if types[key] != kind or not tf.TensorShape(node.attr["shape"].shape).is_compatible_with(shapes[key]):
                raise ModelError(
                    f"Variable {node.name} of {folder} is stored as {types[key].name} {shapes[key]}, and its graph has "
                    f"another. {AGAIN}"
                )
            if kind.is_floating and kind != tf.float32:
                raise ModelError(f"Variable {node.name} of {folder} is {kind.name}, and float32 is needed.")
            if math.prod(shapes[key]) * kind.size > stored:
                raise ModelError(f"Variable {node.name} of {folder} is larger than the files of all of them. {AGAIN}")
            found[node.name] = np.asarray(reader.get_tensor(key))
            check_finite(node.name, found[node.name], folder)
    return found


def _keys(meta: MetaGraphDef, folder: Path) -> dict[str, str]:
    """Name of a variable's node -> the name that its value is stored under, as the restoring part of the graph says."""
    operator = meta.saver_def.restore_op_name
    if not operator:
        return {}
    flat = flatten(meta.graph_def, operator.partition(":")[0], folder)
    found = {}
    for node in flat.nodes.values():
        if node.op in ASSIGNING and len(node.input) > 1:
            maker, _, place = node.input[1].rpartition(":")
            if maker in flat.nodes and (name := _stored_name(flat.nodes, flat.nodes[maker], int(place), folder)):
                found[node.input[0].rpartition(":")[0]] = name
    return found


def _stored_name(nodes: dict[str, NodeDef], node: NodeDef, place: int, folder: Path) -> str | None:
    """The stored name of what a RestoreV2 reads; None for other operators."""
    if node.op != "RestoreV2" or len(node.input) != 3:
        return None
    names, slices = (_text(nodes.get(each.rpartition(":")[0]), place) for each in node.input[1:])
    if slices:
        raise ModelError(f"{folder} has variable {names} in parts, which are not put together. Export it as a whole.")
    return names


def _text(node: NodeDef | None, place: int) -> str | None:
    """One string of a constant. The last one stands for all that follow."""
    found = node.attr["value"].tensor.string_val if node is not None else []
    return found[min(place, len(found) - 1)].decode(errors="replace") if found else None
