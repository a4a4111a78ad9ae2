"""Multiply-accumulates of one ONNX operator, from the shapes of its inputs and outputs.

Sources: the operators' definitions in ONNX (https://onnx.ai/onnx/operators) and, for the domain com.microsoft, in
onnxruntime (docs/ContribOperators.md).
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import onnx

Values = Mapping[str, Any]
"""Name -> value, for every value of a graph. A value is an array, or a list of arrays if it is a sequence."""
Formula = Callable[[onnx.NodeProto, list[Any], Any], int | None]
"""Operator, its inputs (None for an omitted one), its first output -> multiply-accumulates; None if unknown."""

CHECKED_OPSET = 24
"""The last opset whose operators were reviewed. Newer operators are unknown until they are added to this module."""
UNCOUNTED = frozenset({"DFT", "STFT", "TfIdfVectorizer", "SequenceMap", "ImageDecoder"})
"""Older operators that sum products in a way that is not counted here, or that have constants as attributes."""
MICROSOFT_WITHOUT = """
    BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BitmaskBiasDropout BitmaskDropout ComplexMul
    ComplexMulConj CropAndResize DequantizeLinear EmbedLayerNormalization ExpandDims FastGelu
    GatherBlockQuantized GatherND Gelu GemmaRotaryEmbedding GridSample GroupNorm Inverse IsAllFinite
    MRotaryEmbedding MaxpoolWithMask MulInteger NhwcMaxPool Pad QEmbedLayerNormalization QLinearAdd
    QLinearAveragePool QLinearConcat QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean
    QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear QuickGelu Range ReduceSumInteger RemovePadding
    RestorePadding RotaryEmbedding SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization SwiGLU
    TorchEmbedding Trilu UnfoldTensor Unique
""".split()  # noqa: SIM905 - fifty names, fifty lines otherwise
"""Operators of com.microsoft without multiply-accumulates."""


def count(node: onnx.NodeProto, values: Values) -> int | None:
    """Multiply-accumulates of one run; None if the operator is unknown, or used in an unknown way.

    Args:
        node: the operator.
        values: the values that it reads and writes, by name.
    """
    kind = qualified(node)
    if kind not in FORMULAS:
        return 0 if kind in WITHOUT else None
    inputs = [values.get(name) if name else None for name in node.input]
    return FORMULAS[kind](node, inputs, next(values[name] for name in node.output if name))


def qualified(node: onnx.NodeProto) -> str:
    """The operator's type, with its domain if that is not ONNX's own, for example `com.microsoft.QGemm`."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def is_known(node: onnx.NodeProto) -> bool:
    """Whether the operator was reviewed and its cost can be counted."""
    kind = qualified(node)
    return kind in FORMULAS or kind in WITHOUT


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of an operator's attribute. A string is decoded.

    Args:
        node: the operator.
        name: name of the attribute.
        default: the result if the operator does not have it.
    """
    found = next((onnx.helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)
    return found.decode() if isinstance(found, bytes) else found


def _convolution(weight: int) -> Formula:
    """Each output is a sum over one kernel. Input `weight` has the kernels, (M, C / groups, ...)."""
    return lambda node, inputs, output: output.size * prod(inputs[weight].shape[1:])


def _transposed_convolution(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int:
    """Each input value is multiplied by its kernel once. Input 1 has the kernels, (C, M / groups, ...)."""
    return int(inputs[0].size * prod(inputs[1].shape[1:]))


def _product(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int:
    return int(output.size * inputs[0].shape[-1])


def _fused_product(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int | None:
    if attribute(node, "transBatchA", 0) or attribute(node, "transBatchB", 0):
        return None
    return int(output.size * inputs[0].shape[-2 if attribute(node, "transA", 0) else -1])


def _recurrent(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int:
    """Every step of every example multiplies all weights: W, (directions, gates * hidden, inputs), and R."""
    return int(inputs[0].size // inputs[0].shape[-1] * (inputs[1].size + inputs[2].size))


def _einsum(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int:
    """For each combination of all indices, one product less than there are operands."""
    terms = str(attribute(node, "equation", "")).replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    broadcast: tuple[int, ...] = ()
    for term, operand in zip(terms, inputs, strict=True):
        before, dots, after = term.partition("...")
        rest = operand.ndim - len(before) - len(after) if dots else 0
        middle = operand.shape[len(before) : len(before) + rest]
        named = (*operand.shape[: len(before)], *operand.shape[len(before) + rest :])
        for letter, size in zip(before + after, named, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
        broadcast = np.broadcast_shapes(broadcast, middle)
    return int((len(terms) - 1) * prod(sizes.values()) * prod(broadcast))


def _attention(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int | None:
    """Scores, and sums of values weighted by them: Q, (B, heads, S, d) or (B, S, heads * d), over T keys."""
    if any(each is not None for each in inputs[4:6]):
        return None
    keys = inputs[1].shape[-2]
    return int((inputs[0].size + output.size) * keys)


def _multi_head_attention(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int | None:
    """As `_attention`, with query (B, S, hidden), key (B, T, hidden) and value."""
    packed = len(inputs) < 3 or any(each is None or each.ndim != 3 for each in inputs[:3])
    if packed or any(each is not None for each in inputs[6:8]):
        return None
    return int((inputs[0].size + output.size) * inputs[1].shape[1])


def _projected_attention(past: int) -> Formula:
    """Self-attention: input (B, S, D) is first projected by weights (D, 2 * hidden + values).

    The result is None if the input at position `past` is used.
    """

    def formula(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int | None:
        if len(inputs) > past and inputs[past] is not None:
            return None
        batch, length, _ = inputs[0].shape
        width = inputs[1].shape[1]
        hidden = (width - output.shape[-1]) // 2
        return int(inputs[0].size * width + batch * length * length * (hidden + output.shape[-1]))

    return formula


def _blockwise(node: onnx.NodeProto, inputs: list[Any], output: Any) -> int:
    """Weights are packed in blocks; the attributes have their sizes."""
    return int(inputs[0].size * attribute(node, "N", 0))


FORMULAS: dict[str, Formula] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "DeformConv": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    "Gemm": _fused_product,
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "Einsum": _einsum,
    "RNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "Attention": _attention,
} | {
    f"com.microsoft.{kind}": formula
    for kind, formula in {
        "Attention": _projected_attention(past=4),
        "ConvTransposeWithDynamicPads": _transposed_convolution,
        "DynamicQuantizeLSTM": _recurrent,
        "DynamicQuantizeMatMul": _product,
        "FusedConv": _convolution(1),
        "FusedGemm": _fused_product,
        "FusedMatMul": _fused_product,
        "FusedMatMulActivation": _fused_product,
        "MatMulInteger16": _product,
        "MatMulIntegerToFloat": _product,
        "MatMulNBits": _blockwise,
        "MultiHeadAttention": _multi_head_attention,
        "QAttention": _projected_attention(past=8),
        "QGemm": _fused_product,
        "TransposeMatMul": _fused_product,
    }.items()
}


def _without() -> frozenset[str]:
    first: dict[str, int] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            first[schema.name] = min(schema.since_version, first.get(schema.name, schema.since_version))
    own = {name for name, opset in first.items() if opset <= CHECKED_OPSET}
    return frozenset(own | {f"com.microsoft.{name}" for name in MICROSOFT_WITHOUT}) - UNCOUNTED - FORMULAS.keys()


WITHOUT = _without()
"""Operators that sum no products."""
