"""The opset of a foreign network: which are read, and how old ones are raised."""

from pathlib import Path

import onnx
from onnx import helper, version_converter

from octavo.onnx_graph import external_tensors
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
    model.CopyFrom(raised)
