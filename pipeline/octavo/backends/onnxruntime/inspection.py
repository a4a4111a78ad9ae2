"""Inspect ONNX files: parameters as stored in the file, operators after onnxruntime's graph optimization."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from octavo.backends.onnxruntime.macs import WITHOUT, Values, count, qualified
from octavo.backends.onnxruntime.parameters import parameters
from octavo.backends.onnxruntime.session import open_session
from octavo.backends.onnxruntime.values import Body, inside, main_body, values
from octavo.backends.operators import MOVERS, Operator, either, repeated
from octavo.backends.records import Interface, Tensor
from octavo.onnx_graph import canonicalize, file_io, qdq, session_options
from octavo.project.files import damage

__all__ = ["interface", "name", "operators", "optimized", "output_step", "parameters", "values"]

INTEGER_WITH_FLOAT_OUTPUT = {
    "DynamicQuantizeLinear",
    "com.microsoft.DynamicQuantizeLSTM",
    "com.microsoft.DynamicQuantizeMatMul",
    "com.microsoft.MatMulIntegerToFloat",
    "com.microsoft.QAttention",
    "com.microsoft.QGemm",
}
CONVERTERS = {"QuantizeLinear", "DequantizeLinear", "Cast"}
SUBGRAPHS = {"If", "Loop", "Scan"}
"""Operators that control what runs. The operators inside them are listed separately."""
CONVERTING = CONVERTERS | {f"com.microsoft.{name}" for name in CONVERTERS} | MOVERS


@damage.told
def operators(path: Path, images: np.ndarray | None = None) -> list[Operator]:
    """Operators of the graph that will run, including those in the bodies of Loop, If and Scan.

    Args:
        path: the file.
        images: at least one image (N, H, W[, C]) in the file's input encoding. Needed only if dimensions other than the
            batch are free: then the cost depends on the size of the images, and is unknown without them.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    model = optimized(path)
    (source, *_) = model.graph.input
    dims = source.type.tensor_type.shape.dim
    if images is not None and dims:
        images = np.resize(images, (dims[0].dim_value or 1, *images.shape[1:]))
    found = list(_operators(main_body(model, images), model))
    if images is None and any(not dim.dim_value for dim in dims[1:]):
        return [replace(operator, macs=operator.macs and None) for operator in found]
    return found


def name(node: onnx.NodeProto) -> str:
    """The operator's layer; without one, the operator's own name or that of its first output."""
    return str(node.doc_string or node.name or next(output for output in node.output if output))


@damage.told
def interface(path: Path) -> Interface:
    """The first input and output, as the file declares them, and the session options that it asks for.

    Raises:
        ModelError: the file cannot be read.
    """
    model = file_io.load(path, external=False)
    source, target = (_tensor(values[0]) for values in (model.graph.input, model.graph.output))
    asked = session_options.asked({item.key: item.value for item in model.metadata_props})
    return Interface(input=source, output=target, session_options=asked)


@damage.told
def output_step(path: Path) -> float | None:
    """The scale of the integers that the logits come from, or None if the logits are computed in float.

    Raises:
        ModelError: the file cannot be read.
    """
    model = file_io.load(path)
    makers = qdq.producers(model)
    maker = makers.get(qdq.origin(model.graph.output[0].name, makers))
    if maker is None or maker.op_type != "DequantizeLinear":
        return None
    return float(qdq.initializers(model)[maker.input[1]])


def optimized(path: Path) -> onnx.ModelProto:
    """The graph after onnxruntime's optimizations, except those that choose kernels and memory layouts for this CPU.

    Each operator has its layer as doc string. Exact sums are not requested, because they only choose kernels.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    with TemporaryDirectory() as folder:
        target = Path(folder, "optimized.onnx")
        open_session(path, optimized=target)
        model = file_io.load(target)
    layers = canonicalize.layers(path)
    for node in model.graph.node:
        node.doc_string = layers.get(node.output[0], "")
    return model


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    tensor = value.type.tensor_type
    shape = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Tensor(name=value.name, dtype=dtype.name, shape=shape)


def _operators(body: Body, model: onnx.ModelProto) -> Iterator[Operator]:
    for node in body.graph.node:
        bodies = inside(node, body, model)
        yield Operator(name(node), qualified(node), _macs(node, body.values), _is_integer(node, body.values))
        parts = [list(_operators(each, model)) for each in bodies]
        if node.op_type == "If" and bodies:
            yield from either(*parts)
        else:
            for each, part in zip(bodies, parts, strict=True):
                yield from repeated(part, each.times)


def _macs(node: onnx.NodeProto, values: Values | None) -> int | None:
    if values is None:
        return 0 if qualified(node) in WITHOUT else None
    return count(node, values)


def _is_integer(node: onnx.NodeProto, values: Values | None) -> bool:
    """Judged by the type of the output, except for operators that compute in integers but have float outputs."""
    if qualified(node) in CONVERTING | INTEGER_WITH_FLOAT_OUTPUT or node.op_type in SUBGRAPHS:
        return True
    if values is None:
        return False
    output = next(values[name] for name in node.output if name)
    first = output[0] if isinstance(output, list) and output else output
    return not np.issubdtype(getattr(first, "dtype", np.float32), np.floating)
