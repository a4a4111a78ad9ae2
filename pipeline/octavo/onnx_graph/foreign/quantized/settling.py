"""Make the two forms of a network that was trained with quantization: in float, and in integers with all it learned."""

from dataclasses import dataclass

import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.canonicalize import drop_unread
from octavo.onnx_graph.foreign.quantized import (
    biases,
    clips,
    dense,
    floats,
    guards,
    ledger,
    normalization,
    remarks,
    stored,
    unsigned,
)
from octavo.onnx_graph.rewrites import earlier_rounding

FOLDER = "integers"
"""Folder beside the float form, with the integer form."""


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
    known, makers = qdq.constants(model), qdq.producers(model)

    def is_constant(name: str) -> bool:
        while name in makers and makers[name].op_type in ("Clip", "QuantizeLinear"):
            name = makers[name].input[0]
        return name in known

    return any(node.op_type == "DequantizeLinear" and is_constant(node.input[0]) for node in model.graph.node)


def settle(given: onnx.ModelProto) -> Settled:
    """Make both forms of an accepted network with all of its weights inside. It is not changed.

    Raises:
        ModelError: something that was learned would be lost.
    """
    model = onnx.ModelProto()
    model.CopyFrom(given)
    stored.store(model)
    floating = floats.dequantized(model)
    rescaled = normalization.fold(model)
    dense.write(model)
    learned = ledger.read(model)
    earlier_rounding.before_concats(model, moved=True)
    clips.move(model)
    signed = unsigned.shift(model)
    misfit = guards.keep_float(model)
    guards.keep_apart(model)
    settled = biases.settle(model)
    drop_unread(model.graph)
    ledger.check(learned, ledger.read(model))
    found = (
        *remarks.kept(model, learned, remarks.Counts(signed, rescaled, settled.rescaled, settled.rounded)),
        *remarks.outside(model, learned, misfit),
    )
    return Settled(floating, model, found)
