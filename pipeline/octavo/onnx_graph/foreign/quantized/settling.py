"""Make the two forms of a network that was trained with quantization: in float, and in integers with all it learned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import batch_norm, biases, clips, dense, floats, ledger, stored, unsigned
from octavo.onnx_graph.foreign.quantized.biases import Biases
from octavo.onnx_graph.foreign.quantized.ledger import Ledger
from octavo.onnx_graph.rewrites import earlier_rounding

FOLDER = "integers"
"""Folder beside the float form, with the integer form."""
SHOWN = 4
"""Names that a remark lists."""
BITS = 8


@dataclass(frozen=True)
class Settled:
    floating: onnx.ModelProto
    """Weights in float32, and activations rounded as in training."""
    integers: onnx.ModelProto
    """Weights in integers, in the form that runs fastest."""
    remarks: tuple[str, ...]
    """What was learned and kept, and what was not, as sentences."""


def stores_weights(model: onnx.ModelProto) -> bool:
    """Whether a network quantizes weights, and not only activations."""
    known = qdq.constants(model)
    return any(node.op_type == "DequantizeLinear" and _is_constant(node, model, known) for node in model.graph.node)


def settle(given: onnx.ModelProto) -> Settled:
    """Make both forms of an accepted network with all of its weights inside. It is not changed.

    Raises:
        ModelError: something that was learned would be lost.
    """
    model = onnx.ModelProto()
    model.CopyFrom(given)
    stored.store(model)
    normalizations = batch_norm.fold(model)
    floating = floats.dequantized(model)
    dense.write(model)
    learned = ledger.read(model)
    earlier_rounding.before_concats(model, moved=True)
    clips.move(model)
    signed = unsigned.shift(model)
    settled = biases.settle(model)
    stored.drop_unread(model)
    ledger.check(learned, ledger.read(model))
    remarks = (*_kept(learned, signed, normalizations), *_changed(settled), *_outside(model, learned))
    return Settled(floating, model, remarks)


def _is_constant(node: onnx.NodeProto, model: onnx.ModelProto, known: dict[str, onnx.TensorProto]) -> bool:
    makers, name = qdq.producers(model), node.input[0]
    while name in makers and makers[name].op_type in ("Clip", "QuantizeLinear"):
        name = makers[name].input[0]
    return name in known


def _kept(learned: Ledger, signed: int, normalizations: int) -> Iterator[str]:
    """What was learned.

    Args:
        learned: all of it.
        signed: number of activations in int8.
        normalizations: number of normalizations that became part of scales.
    """
    yield (
        f"The given file was trained with quantization: scales and zero points of {len(learned.ranges)} activations, "
        f"and scales, zero points and integers of the weights of {len(learned.weights)} layers. onnx_int8_qat keeps all."
    )
    if signed:
        yield (
            f"{signed} activations in int8 are uint8 in onnx_int8_qat: the same scale, and a zero point that is 128 "
            "higher."
        )
    if normalizations:
        yield (
            f"{normalizations} batch normalizations behind integer weights are part of the weights' scales, and of the "
            "biases."
        )
    few = [name for name, grids in learned.weights.items() if _bits(grids.arrays[0]) < BITS]
    if few:
        yield f"The weights of {_listed(few)} use {_bits_of(learned, few)} bits. They are stored in 8."


def _changed(settled: Biases) -> Iterator[str]:
    if settled.rescaled:
        yield (
            f"{settled.rescaled} biases have scales of their own, which integer kernels do not read. onnx_int8_qat "
            "rounds them to int32 at the scale of their layer's products."
        )
    if settled.rounded:
        yield f"{settled.rounded} biases in float are int32 in onnx_int8_qat, so that their layers compute in integers."


def _outside(model: onnx.ModelProto, learned: Ledger) -> Iterator[str]:
    """Layers that training left in float, at least in part, and activations with a scale for each channel."""
    arrays, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    layers = [node for node in model.graph.node if node.op_type in qdq.OUTPUT_AXIS]
    weightless = [_name(node) for node in layers if _has_float_weights(node, arrays)]
    if weightless:
        yield f"The given file does not quantize the weights of {_listed(weightless)}."
    rangeless = [
        _name(node)
        for node in layers
        if node.output[0] in learned.weights and qdq.scale_before(node.input[0], makers, arrays) is None
    ]
    if rangeless:
        yield f"The given file has no range for the input of {_listed(rangeless)}, so that they compute in float."
    open_ended = [
        _name(node)
        for node in layers
        if node.op_type == "Conv" and node.output[0] in learned.weights and not _is_rounded(node, readers)
    ]
    if open_ended:
        yield f"The given file has no range for the output of {_listed(open_ended)}, so that they compute in float."
    channels = [name for name, grids in learned.ranges.items() if grids.arrays[0].ndim]
    if channels:
        yield f"Activations {_listed(channels)} have a scale for each channel, so that what reads them is float."


def _is_rounded(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> bool:
    return [reader.op_type for reader in readers.get(node.output[0], [])] == ["QuantizeLinear"]


def _has_float_weights(node: onnx.NodeProto, arrays: dict[str, np.ndarray]) -> bool:
    name = node.input[qdq.WEIGHT_INPUT]
    return name in arrays and arrays[name].dtype == np.float32


def _bits(integers: np.ndarray) -> int:
    """Bits that the largest integer needs: -8..7 needs 4, and 0..15 without a sign."""
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    if integers.dtype == np.uint8:
        return high.bit_length()
    return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length()) + 1


def _bits_of(learned: Ledger, names: Iterable[str]) -> int:
    return max(_bits(learned.weights[name].arrays[0]) for name in names)


def _name(node: onnx.NodeProto) -> str:
    return node.doc_string or node.output[0]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
