"""The opset of a foreign network: which are read, and how old ones are raised."""

from pathlib import Path

import onnx
from onnx import helper, version_converter

from octavo.onnx_graph import external_tensors, qdq
from octavo.project import foreign_code
from octavo.project.errors import ModelError

OLDEST, NEWEST = 11, 23
LEAST = 13
"""From this one on, integers can have a scale for each channel."""


def of(model: onnx.ModelProto) -> int:
    """The opset of ONNX's own operators."""
    return next((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), 0)


def check(model: onnx.ModelProto, path: Path) -> None:
    """Check that the opset is one that is read.

    Raises:
        ModelError: it is another.
    """
    if not OLDEST <= of(model) <= NEWEST:
        raise ModelError(
            f"{path} has opset {of(model) or 'none'}; {OLDEST} to {NEWEST} are read. Export it again, with opset 17."
        )


def raise_old(model: onnx.ModelProto, path: Path) -> None:
    """Raise an opset below 13 to 13 with onnx's converter, in place. Large initializers stay declared.

    Raises:
        ModelError: the converter cannot convert an operator.
    """
    if of(model) >= LEAST:
        return
    declared = [tensor for tensor in model.graph.initializer if external_tensors.is_declared(tensor)]
    probe = external_tensors.only(model, lambda _: True)
    del probe.graph.initializer[:]
    probe.graph.initializer.extend(t for t in model.graph.initializer if not external_tensors.is_declared(t))
    probe.graph.input.extend(helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in declared)
    probe.ir_version = max(probe.ir_version, 7)
    what = f"{path} has opset {of(model)}, and onnx cannot raise it to {LEAST}"
    with foreign_code.code(what, ModelError, advice=f"Export it again, with opset {LEAST} or later."):
        raised = version_converter.convert_version(probe, LEAST)
    names = {tensor.name for tensor in declared}
    kept = [value for value in raised.graph.input if value.name not in names]
    del raised.graph.input[:]
    raised.graph.input.extend(kept)
    raised.graph.initializer.extend(declared)
    doc = {name: node.doc_string for node in model.graph.node for name in node.output}
    for node in raised.graph.node:
        node.doc_string = next((doc[name] for name in node.output if doc.get(name)), "")
    _softmax_on_the_last_axis(raised)
    model.CopyFrom(raised)


def _softmax_on_the_last_axis(model: onnx.ModelProto) -> None:
    """Undo the three operators that the converter puts around a Softmax on the last axis, in place.

    Before opset 13, Softmax flattened its input. If the converter does not know all dimensions, it writes this out.
    """
    makers, readers, shapes = qdq.producers(model), qdq.consumers(model), qdq.shapes(model)
    for node in [node for node in model.graph.node if node.op_type in ("Hardmax", "LogSoftmax", "Softmax")]:
        flat, (shaped, *others) = makers.get(node.input[0]), readers.get(node.output[0], [None])
        if flat is None or flat.op_type != "Flatten" or shaped is None or shaped.op_type != "Reshape" or others:
            continue
        shape, source = makers.get(shaped.input[1]), flat.input[0]
        rank = len(shapes.get(source, ()))
        if shape is None or shape.op_type != "Shape" or shape.input[0] != source:
            continue
        if rank > 1 and qdq.attribute(flat, "axis", 1) == rank - 1:
            node.input[0], node.output[0] = source, shaped.output[0]
            del node.attribute[:]  # the last axis is the default
            model.graph.node.remove(shaped)
