"""Bring an ONNX graph into a canonical form, so that equal graphs have equal bytes: short names, no unused parts.

Converters number values by counters that change from run to run, and onnxruntime's quantizer uses a third of a small
file for names. The result is valid ONNX and computes the same. The network's layer of each operator is stored beside
the file, so that messages can still name it.

It is Octavo's own because onnx-ir has no canonical form: three orders of initializers give three files.
"""

import itertools
import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from onnx import numpy_helper

from octavo.data import input_encoding
from octavo.onnx_graph import external_tensors, file_io, qdq, session_options
from octavo.onnx_graph.external_tensors import Content
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, json_file

IR_VERSION = 10
METADATA = (*session_options.ALLOWED, input_encoding.KEY)
"""Entries of a model's metadata that it keeps."""
LAYERS = "layers.json"
"""File beside a model file: the layer that produces each value, by the value's name."""


def rename_ends(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """Rename graph inputs and outputs, in place."""
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    _rename_values(model.graph, names)
    return model


def canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation with short canonical names, without documentation, default attributes or shape annotations.

    Graph inputs and outputs keep their names. Equal initializers are shared, and unused nodes are dropped.

    Raises:
        onnx.checker.ValidationError: the result is not valid ONNX.
    """
    bare, contents = external_tensors.detach(model)
    _simplify(bare, contents)
    return external_tensors.attach(bare, contents)


def save(model: onnx.ModelProto, path: Path, kept: Mapping[str, Content] | None = None) -> None:
    """Write `model` in canonical form. Above 2 GB, its large weights go to `<path>.data` beside it.

    The doc strings of its operators, which name their layers, go to `layers.json` beside it.

    Args:
        model: not changed; its weights are not copied.
        path: the file to write.
        kept: contents of initializers that `model` only declares (`external_tensors.declare`).

    Raises:
        onnx.checker.ValidationError: the result is not valid ONNX.
    """
    bare, contents = external_tensors.detach(model)
    contents |= kept or {}
    named = _simplify(bare, contents)
    file_io.save(bare, contents, path)
    if named:
        atomic_write.write_text(path.with_name(LAYERS), json.dumps(named, indent=1) + "\n")


def load(path: Path) -> onnx.ModelProto:
    """The model at `path`, with doc strings on its operators that name their layers.

    Raises:
        ModelError: the file is missing or not ONNX, or its external data are missing or outside its folder.
    """
    model = file_io.load(path)
    named = layers(path)
    for node in model.graph.node:
        node.doc_string = named.get(node.output[0], "")
    return model


def layers(path: Path) -> dict[str, str]:
    """The layer that produces each value, by the value's name, as far as `save` knew it.

    Raises:
        ModelError: the file beside the model is damaged.
    """
    beside = path.with_name(LAYERS)
    try:
        return json_file.read_record(beside, dict[str, str])
    except FileNotFoundError:
        return {}
    except json_file.Unreadable as error:
        raise ModelError(f"{beside} is damaged ({error}). Remove it, or run dvc repro.") from None


def _simplify(model: onnx.ModelProto, contents: Mapping[str, Content]) -> dict[str, str]:
    """Make the model canonical, in place. Returns the layers of its operators by the new names of their outputs."""
    graph = model.graph
    _constants_to_initializers(graph)
    drop_unread(graph)
    _share_initializers(graph, contents)
    for each in _graphs(graph):
        for node in each.node:
            _trim_node(node)
    named = _rename(graph)
    _rename_dimensions(graph)
    kept = sorted((item.key, item.value) for item in model.metadata_props if item.key in METADATA)
    del model.metadata_props[:]
    for key, value in kept:
        model.metadata_props.add(key=key, value=value)
    for field in ("doc_string", "producer_name", "producer_version", "domain", "model_version"):
        model.ClearField(field)
    used = {node.domain for each in _graphs(graph) for node in each.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used or not opset.domain]
    del model.opset_import[:]
    model.opset_import.extend(sorted(opsets, key=lambda opset: opset.domain))
    model.ir_version = min(model.ir_version, IR_VERSION)
    external_tensors.check(model)
    return named


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        attribute = node.attribute[0]
        if attribute.name != "value":
            continue
        tensor = graph.initializer.add()
        tensor.CopyFrom(attribute.t)
        tensor.name = node.output[0]
        graph.node.remove(node)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Remove operators and initializers that nothing reads, in place."""
    read = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if read.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            read.update(qdq.reads(node))
    _keep(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in read])


def _share_initializers(graph: onnx.GraphProto, contents: Mapping[str, Content]) -> None:
    first: dict[tuple[object, ...], str] = {}
    names: dict[str, str] = {}
    for tensor in graph.initializer:
        key = (
            tensor.data_type,
            tuple(tensor.dims),
            contents[external_tensors.key(tensor)].digest()
            if external_tensors.is_declared(tensor)
            else numpy_helper.to_array(tensor).tobytes(),
        )
        names[tensor.name] = first.setdefault(key, tensor.name)
    _keep(graph.initializer, [tensor for tensor in graph.initializer if names[tensor.name] == tensor.name])
    _rename_values(graph, names)


def _trim_node(node: onnx.NodeProto) -> None:
    del node.metadata_props[:]
    if not node.domain:
        node.ClearField("domain")
    schema = (
        onnx.defs.get_schema(node.op_type, domain=node.domain) if onnx.defs.has(node.op_type, node.domain) else None
    )
    defaults = {name: item.default_value for name, item in schema.attributes.items()} if schema else {}
    kept = sorted(
        (item for item in node.attribute if not _same_value(item, defaults.get(item.name))), key=lambda item: item.name
    )
    kept = [onnx.AttributeProto.FromString(item.SerializeToString()) for item in kept]
    del node.attribute[:]
    node.attribute.extend(kept)


def _same_value(attribute: onnx.AttributeProto, default: onnx.AttributeProto | None) -> bool:
    return (
        default is not None
        and default.type == attribute.type
        and onnx.helper.get_attribute_value(default) == onnx.helper.get_attribute_value(attribute)
    )


def _rename(graph: onnx.GraphProto) -> dict[str, str]:
    """Give every value a short name, and remove names and layers from the operators. Returns the layers by the new
    names.
    """
    ends = [value.name for value in (*graph.input, *graph.output)]
    fresh = (name for name in _short_names() if name not in ends)
    names = {name: name for name in ends} | {"": ""}
    named = {}
    for name in _values(graph):
        if name not in names:
            names[name] = next(fresh)
    for node in graph.node:
        if node.doc_string:
            named[names[node.output[0]]] = node.doc_string
    for each in _graphs(graph):
        each.name = "g"
        each.ClearField("doc_string")
        del each.value_info[:], each.metadata_props[:]
        for node in each.node:
            node.ClearField("doc_string")
            node.ClearField("name")
        for tensor in each.initializer:
            if not external_tensors.is_declared(tensor):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    order = {name: place for place, name in enumerate(names)}
    _keep(graph.initializer, sorted(graph.initializer, key=lambda tensor: order[tensor.name]))
    _rename_values(graph, names)
    return named


def _values(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of values in the order in which they are read and produced, including those of inner graphs."""
    yield from (value.name for value in graph.input)
    for node in graph.node:
        yield from node.input
        for inner in qdq.subgraphs(node):
            yield from _values(inner)
        yield from node.output
    yield from (tensor.name for tensor in graph.initializer)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph, and the graphs in the attributes of its operators, such as the body of a loop."""
    yield graph
    for node in graph.node:
        for inner in qdq.subgraphs(node):
            yield from _graphs(inner)


def _rename_dimensions(graph: onnx.GraphProto) -> None:
    """Rename free dimensions, which converters number too."""
    ends = [end for each in _graphs(graph) for end in (*each.input, *each.output)]
    dimensions = [dim for end in ends for dim in end.type.tensor_type.shape.dim]
    found = dict.fromkeys(dim.dim_param for dim in dimensions if dim.dim_param)
    names = dict(zip(found, _short_names(), strict=False))
    for dim in dimensions:
        if dim.dim_param:
            dim.dim_param = names[dim.dim_param]


def _rename_values(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for each in _graphs(graph):
        for node in each.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for tensor in each.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        if each is not graph:
            for value in (*each.input, *each.output):
                value.name = names.get(value.name, value.name)


def _short_names() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


def _keep(field: object, messages: list[onnx.TensorProto]) -> None:
    copies = [onnx.TensorProto.FromString(message.SerializeToString()) for message in messages]
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]
