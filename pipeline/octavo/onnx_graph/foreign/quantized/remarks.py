"""What a network that was trained with quantization has learned, and what became of it, in sentences for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized.ledger import Ledger
from octavo.project.errors import some

SHOWN = 4
"""Names that a sentence lists."""
BITS = 8


@dataclass(frozen=True)
class Counts:
    """Numbers of tensors whose form has changed."""

    signed: int
    """Activations in int8 that are uint8 now."""
    normalized: int
    """Layers whose weights took normalization into their scales."""
    rescaled: int
    """Biases that had integers at a scale of their own."""
    rounded: int
    """Float biases that are int32 now."""


def kept(model: onnx.ModelProto, learned: Ledger, counts: Counts) -> Iterator[str]:
    """What was learned, and in which form it is kept.

    Args:
        model: the integer form.
        learned: all of it.
        counts: what has changed.
    """
    yield (
        "The given file was trained with quantization. onnx_int8_qat keeps all that it learned: scales and zero points "
        f"of {len(learned.ranges)} activations; scales, zero points and integers of the weights of "
        f"{len(learned.weights)} layers."
    )
    for number, what in (
        (counts.signed, "int8 activations become uint8, with the same scale and a zero point that is 128 higher"),
        (counts.normalized, "layers whose scales of weights take in the batch normalization behind them"),
        (counts.rescaled, "biases in integers at a scale of their own become int32 at the scale of products, rounded"),
        (counts.rounded, "float biases become int32, so that their layers compute in integers"),
    ):
        if number:
            yield f"Form of the INT8 file in ONNX: {number} {what}."
    bits = {_name(node): _bits(learned.weights[node.output[0]].arrays[0]) for node in _layers(model, learned)}
    few = [name for name, each in bits.items() if each < BITS]
    if few:
        yield f"The weights of {some(few, SHOWN)} use {max(bits[name] for name in few)} bits. They are stored in 8."
    clips = [node for node in model.graph.node if node.op_type == "Clip" and _is_integer(node, model)]
    if clips:
        said = f"{len(clips)} activations keep to a part of their range by a Clip on integers"
        yield f"Form of the INT8 file in ONNX: {said}."


def outside(model: onnx.ModelProto, learned: Ledger, misfits: Sequence[onnx.NodeProto]) -> Iterator[str]:
    """What training left in float, at least in part, and what integer kernels do not take.

    Args:
        model: the integer form.
        learned: what was learned.
        misfits: layers with scales along another axis than their output channels.
    """
    arrays, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    layers = [node for node in _layers(model, learned) if node not in misfits]
    if misfits:
        names = some([_name(node) for node in misfits], SHOWN)
        yield f"The weights of {names} have scales, but not for output channels, so they compute in float."
    unknown = [_name(node) for node in layers if node.op_type not in qdq.INTEGER_KERNELS]
    if unknown:
        yield f"onnxruntime has no integer kernel for {some(unknown, SHOWN)}, so they compute in float."
    floating = [_name(node) for node in model.graph.node if _has_float_weights(node, arrays)]
    if floating:
        yield f"The given file has float weights in {some(floating, SHOWN)}: nothing was learned for them."
    unread = [_name(node) for node in layers if qdq.scale_before(node.input[0], makers, arrays) is None]
    if unread:
        yield f"The given file has no range for the input of {some(unread, SHOWN)}, so they compute in float."
    open_ended = [_name(node) for node in layers if node.op_type == "Conv" and not _is_rounded(node, readers)]
    if open_ended:
        yield f"The given file has no range for the output of {some(open_ended, SHOWN)}, so they compute in float."
    channels = [name for name, grids in learned.ranges.items() if grids.arrays[0].ndim]
    if channels:
        yield f"Activations {some(channels, SHOWN)} have a scale for each channel, so that what reads them is float."


def _layers(model: onnx.ModelProto, learned: Ledger) -> Iterator[onnx.NodeProto]:
    yield from (node for node in model.graph.node if node.output[0] in learned.weights)


def _is_integer(clip: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    known = qdq.constants(model)
    return any(known[name].data_type == onnx.TensorProto.UINT8 for name in clip.input[1:] if name in known)


def _has_float_weights(node: onnx.NodeProto, arrays: dict[str, np.ndarray]) -> bool:
    if node.op_type not in qdq.OUTPUT_AXIS:
        return False
    weights = arrays.get(node.input[qdq.WEIGHT_INPUT])
    return weights is not None and weights.dtype == np.float32


def _is_rounded(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> bool:
    return [reader.op_type for reader in readers.get(node.output[0], [])] == ["QuantizeLinear"]


def _bits(integers: np.ndarray) -> int:
    """Bits that the largest integer needs: -8..7 needs 4, and so does 0..15 without a sign."""
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    if integers.dtype == np.uint8:
        return high.bit_length()
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1


def _name(node: onnx.NodeProto) -> str:
    return node.doc_string or node.output[0]
