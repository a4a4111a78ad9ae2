"""Forms of the same computation that exporters choose freely, brought to the one that recipes know."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octavo.onnx_graph import external_tensors, qdq

VALUES: Mapping[str, Callable[[onnx.AttributeProto], np.ndarray]] = {
    "value": lambda item: numpy_helper.to_array(item.t),
    "value_float": lambda item: np.array(item.f, np.float32),
    "value_floats": lambda item: np.array(item.floats, np.float32),
    "value_int": lambda item: np.array(item.i, np.int64),
    "value_ints": lambda item: np.array(item.ints, np.int64),
}
"""Attributes of a Constant -> its value."""


def in_raw_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with all initializers as raw bytes, as `external_tensors.detach` needs them, in place."""
    for tensor in model.graph.initializer:
        if not tensor.HasField("raw_data") and tensor.data_type not in (TensorProto.STRING, TensorProto.UNDEFINED):
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return model


def name_layers(model: onnx.ModelProto, longest: int) -> None:
    """Give each operator its name in the file as doc string, or else that of its first output, in place."""
    for node in model.graph.node:
        node.doc_string = (node.name or next(iter(node.output), ""))[:longest]


def simplify(model: onnx.ModelProto) -> None:
    """Remove what has no effect on inference, in place: the graph computes the same, and its ends keep their names."""
    graph = model.graph
    for name in ("training_info", "metadata_props", "functions"):
        model.ClearField(name)
    for name in ("value_info", "quantization_annotation", "metadata_props"):
        graph.ClearField(name)
    stored = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in stored]
    if len(kept) < len(graph.input):
        copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
        del graph.input[:]
        graph.input.extend(copies)
    model.ir_version = max(model.ir_version, 8)
    _one_domain(model)
    _store_constants(graph)
    _drop_spare_outputs(model)
    _bypass(model)


def _one_domain(model: onnx.ModelProto) -> None:
    """Call ONNX's own domain by its short name."""
    for node in model.graph.node:
        if node.domain == "ai.onnx":
            node.ClearField("domain")
    versions = {"" if each.domain == "ai.onnx" else each.domain: each.version for each in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in versions.items())


def _store_constants(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant" and len(node.attribute) == 1]:
        if node.attribute[0].name in VALUES:
            array = VALUES[node.attribute[0].name](node.attribute[0])
            graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
            graph.node.remove(node)


def _drop_spare_outputs(model: onnx.ModelProto) -> None:
    """Drop outputs after the first that nothing reads, of operators that have them only for training."""
    readers, ends = qdq.consumers(model), {value.name for value in model.graph.output}
    for node in model.graph.node:
        if node.op_type in ("BatchNormalization", "Dropout"):
            while len(node.output) > 1 and node.output[-1] not in readers and node.output[-1] not in ends:
                del node.output[-1]


def _bypass(model: onnx.ModelProto) -> None:
    """Remove operators that give their input unchanged, as far as the graph's ends keep their names."""
    graph = model.graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    for node in [node for node in graph.node if _has_no_effect(model, node)]:
        source, result = node.input[0], node.output[0]
        makers = qdq.producers(model)
        if result not in ends:
            _replace(graph, result, source)
        elif source in makers and source not in ends:
            for at, name in enumerate(makers[source].output):
                if name == source:
                    makers[source].output[at] = result
            _replace(graph, source, result)
        else:
            continue
        graph.node.remove(node)


def _has_no_effect(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    if node.op_type == "Identity":
        return True
    if node.op_type != "Dropout" or len(node.output) > 1:
        return False
    mode = node.input[2] if len(node.input) > 2 else ""
    known = {t.name: t for t in model.graph.initializer if t.name == mode and not external_tensors.is_declared(t)}
    return not mode or (mode in known and not numpy_helper.to_array(known[mode]).any())


def _replace(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
