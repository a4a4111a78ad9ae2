"""Check the structure of an ONNX file before anything relies on its sizes and names."""

from collections import ChainMap
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import TensorProto, helper

from octavo.onnx_graph import external_tensors
from octavo.project.errors import ModelError

PACKED = {
    getattr(TensorProto, name): bits
    for name, bits in {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}.items()
    if hasattr(TensorProto, name)
}
"""Types with several elements per byte, and their bits."""


def check(model: onnx.ModelProto, path: Path) -> None:
    """Check that the model at `path` is consistent: sizes of tensors, order of operators, functions.

    Raises:
        ModelError: it is inconsistent.
    """
    if not (model.graph.input and model.graph.output):
        raise ModelError(f"{path} is damaged: it has no input, or no output. Export it again.")
    for fault in (*_tensor_faults(model, path.parent), *_order_faults(model.graph, ChainMap()), *_call_faults(model)):
        raise ModelError(f"{path} is damaged: {fault}. Export it again.")


def tensors(message: Message) -> Iterator[TensorProto]:
    """All stored tensors in the message, at any depth."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in [value] if isinstance(value, Message) else value:
                yield from tensors(child)


def _tensor_faults(model: onnx.ModelProto, folder: Path) -> Iterator[str]:
    for tensor in tensors(model):
        size = _size(tensor)
        if size is None:
            yield f"tensor {tensor.name} has the shape {list(tensor.dims)[:9]} and the type {tensor.data_type}"
        elif external_tensors.is_declared(tensor):
            place = folder / external_tensors.key(tensor)
            offset, length = (_number(tensor, key, default) for key, default in (("offset", 0), ("length", size)))
            if length != size or offset < 0 or (place.is_file() and offset + length > place.stat().st_size):
                yield f"tensor {tensor.name} of {size:,} bytes is not whole in {place.name}"
        elif tensor.HasField("raw_data") and len(tensor.raw_data) != size and tensor.data_type != TensorProto.STRING:
            yield f"tensor {tensor.name} has {len(tensor.raw_data):,} bytes, but {size:,} by its shape and type"


def _size(tensor: TensorProto) -> int | None:
    """Bytes by its shape and type; None if they are invalid."""
    if any(size < 0 for size in tensor.dims):
        return None
    count = prod(tensor.dims)
    if tensor.data_type in PACKED:
        return -(-count * PACKED[tensor.data_type] // 8)
    try:
        dtype: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except KeyError:
        return None
    return count * dtype.itemsize


def _number(tensor: TensorProto, key: str, default: int) -> int:
    """A number of the external data; -1 if it is not a number."""
    text = next((entry.value for entry in tensor.external_data if entry.key == key), str(default))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def _order_faults(graph: onnx.GraphProto, around: "ChainMap[str, None]") -> Iterator[str]:
    """Operators that read a value that no earlier operator produces. Such a graph may contain a cycle."""
    known = around.new_child(dict.fromkeys(value.name for value in (*graph.input, *graph.initializer)))
    known |= dict.fromkeys(sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                yield f"an operator {node.op_type} reads {name!r}, which no earlier operator produces"
        for item in node.attribute:
            for inner in [item.g] if item.type == onnx.AttributeProto.GRAPH else item.graphs:
                yield from _order_faults(inner, known)
        known |= dict.fromkeys(node.output)
    for value in graph.output:
        if value.name not in known:
            yield f"no operator produces its output {value.name!r}"


def _call_faults(model: onnx.ModelProto) -> Iterator[str]:
    """Functions that call themselves, directly or through others."""
    calls = {
        (function.domain, function.name): {(node.domain, node.op_type) for node in _nodes(function.node)}
        for function in model.functions
    }
    left = set(calls)
    while ends := {function for function in left if not calls[function] & left}:
        left -= ends
    for _, name in sorted(left)[:1]:
        yield f"its function {name!r} calls itself"


def _nodes(nodes: Any) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for item in node.attribute:
            for inner in [item.g] if item.type == onnx.AttributeProto.GRAPH else item.graphs:
                yield from _nodes(inner.node)
