"""Which foreign networks are accepted. Everything else is refused in one sentence that names what is not."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from octavo.onnx_graph import external_tensors, qdq, structure
from octavo.onnx_graph.foreign import opsets
from octavo.project.errors import ModelError, did_you_mean, some

DEFAULT = ("", "ai.onnx")
"""Names of ONNX's own domain."""
INTEGER = (
    "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul",
)  # fmt: skip
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
CONTROL = ("If", "Loop", "Scan")
COLLECTIONS = ("Sequence", "Optional", "String", "SplitToSequence", "ConcatFromSequence", "RegexFullMatch")
"""Beginnings of the names of operators on sequences, optional values and strings."""
HALVES = {
    value: name.lower()
    for name, value in TensorProto.DataType.items()
    if "FLOAT" in name and name not in ("FLOAT", "DOUBLE")
}
"""Floating-point types of fewer bits than float32."""
MODE = 14
"""From this opset on, an attribute says whether batch normalization is in training mode; before, the outputs do."""
IN_FLOAT32 = "Give the float32 file that it was made from, or export the network in float32."
SHOWN = 4
"""Names that a message lists."""


def check_file(model: onnx.ModelProto, path: Path) -> None:
    """Check inputs, outputs, opset and parts that ONNX allows and recipes do not, before the graph is changed.

    Raises:
        ModelError: something is not accepted.
    """
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    for what, values in (("input", inputs), ("output", list(model.graph.output))):
        if len(values) != 1:
            names = ", ".join(value.name for value in values) or "none that is not a stored weight"
            raise ModelError(
                f"{path} has {len(values)} {what}s ({names}), and networks with one are accepted. Keep one, for "
                "example with onnx.utils.extract_model."
            )
        _check_value(values[0], what, path)
    if inputs[0].name == model.graph.output[0].name:
        raise ModelError(f"{path} gives its input {inputs[0].name} back and computes nothing. Export the network.")
    opsets.check(model, path)
    if model.graph.sparse_initializer:
        raise _refused(path, "sparse weights", [model.graph.sparse_initializer[0].values.name], "Store them as dense.")


def check_floats(model: onnx.ModelProto, path: Path) -> None:
    """Check that nothing is stored in less than float32. Converters to float16 often leave operators in a wrong order,
    so this check comes before that of the order.

    Raises:
        ModelError: something is.
    """
    halves = {HALVES[tensor.data_type] for tensor in structure.tensors(model) if tensor.data_type in HALVES}
    if halves:
        raise _refused(path, "values in", sorted(halves), IN_FLOAT32)


def check_modes(model: onnx.ModelProto, path: Path) -> None:
    """Check that no operator computes as in training: with random numbers, or with the statistics of the batch.

    Raises:
        ModelError: one does.
    """
    constants = qdq.constants(model)
    for node in model.graph.node:
        if node.op_type == "Constant" and [item.name for item in node.attribute] == ["value"]:
            constants[node.output[0]] = node.attribute[0].t
    for node in model.graph.node:
        mode = node.input[2] if node.op_type == "Dropout" and len(node.input) > 2 else ""
        drops = bool(mode) and (mode not in constants or numpy_helper.to_array(constants[mode]).any())
        learns = qdq.attribute(node, "training_mode", 0) or (len(node.output) > 1 and opsets.of(model) < MODE)
        if drops or (node.op_type == "BatchNormalization" and learns):
            remedy = "Export the network in evaluation mode (model.eval())."
            raise _refused(path, "an operator in training mode,", [node.op_type], remedy)


def check_graph(model: onnx.ModelProto, path: Path) -> None:
    """Check the operators and weights of a simplified graph.

    Raises:
        ModelError: an operator is not accepted, or a weight is NaN or not float32.
    """
    for node in model.graph.node:
        _check_operator(node, path)
    known = qdq.constants(model)
    for node in model.graph.node:
        weights = [known[name] for name in node.input if name in known] if node.op_type in qdq.OUTPUT_AXIS else []
        for tensor in weights:
            if tensor.data_type != TensorProto.FLOAT:
                kind = TensorProto.DataType.Name(tensor.data_type).lower()
                raise _refused(path, f"{node.op_type} with weights in", [kind], "Export the network in float32.")
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not external_tensors.is_declared(tensor):
            check_finite(tensor.name, numpy_helper.to_array(tensor), path)


def check_finite(name: str, values: np.ndarray, path: Path) -> None:
    """Check that no weight is NaN. Infinite constants are allowed: masks of attention are.

    Args:
        name: of the weights.
        values: of any type and shape.
        path: of the file, for the message.

    Raises:
        ModelError: a value is NaN.
    """
    lost = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
    if lost:
        raise ModelError(f"{lost:,} of {values.size:,} values of {name} in {path} are NaN. Train or export it again.")


def invalid(path: Path, error: Exception) -> ModelError:
    """The error for a graph that ONNX's own checks refuse."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelError(f"{path} is not valid ONNX: {said[:200].rstrip('.')}. Export it again.")


def _check_value(value: onnx.ValueInfoProto, what: str, path: Path) -> None:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        named = (kind or "untyped").removesuffix("_type").replace("_", " ")
        raise ModelError(f"The {what} {value.name} of {path} is {named}, and a float32 tensor is needed.")
    tensor = value.type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ModelError(
            f"The {what} {value.name} of {path} is {name}, and float32 is needed. Export the float network."
        )
    if what == "input" and (not tensor.HasField("shape") or len(tensor.shape.dim) < 2):
        axes = f"{len(tensor.shape.dim)} axes" if tensor.HasField("shape") else "no declared shape"
        raise ModelError(
            f"The input {value.name} of {path} has {axes}, and examples need two or more, (N, …). Export it with them."
        )


def _check_operator(node: onnx.NodeProto, path: Path) -> None:
    named = [f"{node.domain}.{node.op_type}" if node.domain else node.op_type]
    if node.domain not in DEFAULT:
        remedy = "Export the network with ONNX's own operators, before a runtime optimizes it."
        raise _refused(path, "an operator of another domain than ONNX's own,", named, remedy)
    if not onnx.defs.has(node.op_type):
        known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain in DEFAULT}
        remedy = f"{did_you_mean(node.op_type, sorted(known))} Export the network again.".strip()
        raise _refused(path, "an operator that ONNX does not have,", named, remedy)
    for operators, what, remedy in (
        (INTEGER, "an operator of a network that is already quantized,", "Bring the float network."),
        (RANDOM, "an operator that gives other values each time,", "Export the network for inference."),
        (CONTROL, "control flow,", "Export the network without it, by tracing."),
    ):
        if node.op_type in operators:
            raise _refused(path, what, named, remedy)
    if node.op_type.startswith(COLLECTIONS) or node.op_type.endswith("Sequence"):
        raise _refused(path, "an operator on sequences, optional values or strings,", named, "Export without it.")
    target = qdq.attribute(node, "to", 0) if node.op_type in ("Cast", "CastLike") else 0
    if target in HALVES:
        raise _refused(path, "values in", [HALVES[target]], IN_FLOAT32)


def _refused(path: Path, what: str, names: Iterable[str], remedy: str) -> ModelError:
    return ModelError(f"{path} has {what} {some(names, SHOWN)}. {remedy}")
