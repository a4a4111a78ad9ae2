"""Biases in the form that onnxruntime's integer kernels take: int32 at the scale of the layer's products, or float32.

onnxruntime itself rounds a float bias in front of a QuantizeLinear. A layer whose bias has integers at another scale
would compute in float.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.foreign.quantized import stored
from octavo.onnx_graph.integer_ranges import along

BIASED = ("Conv", "Gemm")
TOLERANCE = 1e-6
"""Relative difference of two scales that float32 rounding explains."""


@dataclass
class Biases:
    """Numbers of biases."""

    rescaled: int = 0
    """That had integers with a scale of their own."""
    rounded: int = 0
    """That were float, and are int32 now."""


def settle(model: onnx.ModelProto) -> Biases:
    """Bring the biases of layers with quantized inputs and weights into this form, in place."""
    arrays, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    constants, found = stored.dequantized_constants(model), Biases()
    for node in [node for node in model.graph.node if node.op_type in BIASED and qdq.has_bias(node)]:
        weights, given = constants.get(node.input[qdq.WEIGHT_INPUT]), qdq.scale_before(node.input[0], makers, arrays)
        if weights is None or given is None or given.ndim:
            continue
        products = given * arrays[weights.input[1]]
        source = constants.get(node.input[qdq.BIAS_INPUT])
        if source is not None and not _fits(source, products, arrays):
            values = real(source, arrays)
            node.input[qdq.BIAS_INPUT] = name = qdq.add_constant(model, f"{source.output[0]}/float", values)
            arrays[name] = values
            found.rescaled += 1
        bias = arrays.get(node.input[qdq.BIAS_INPUT])
        following = [reader.op_type for reader in readers.get(node.output[0], [])]
        if bias is not None and node.op_type == "Gemm" and following != ["QuantizeLinear"]:
            found.rounded += _in_integers(model, node, bias, products)
    return found


def real(source: onnx.NodeProto, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The float32 values that a DequantizeLinear makes of a constant."""
    integers, scale = (arrays[name] for name in source.input[:2])
    axis, rank = stored.axis_of(source), integers.ndim
    zero = arrays[source.input[2]] if len(source.input) > 2 else np.zeros((), np.int32)
    steps = integers.astype(np.int32) - along(zero, axis, rank).astype(np.int32)
    return steps.astype(np.float32) * along(scale, axis, rank)


def _fits(source: onnx.NodeProto, products: np.ndarray, arrays: dict[str, np.ndarray]) -> bool:
    """Whether an integer bias can be added to the products as it is."""
    if arrays[source.input[0]].dtype != np.int32:
        return False
    return bool(np.allclose(arrays[source.input[1]], products, rtol=TOLERANCE, atol=0))


def _in_integers(model: onnx.ModelProto, node: onnx.NodeProto, bias: np.ndarray, products: np.ndarray) -> bool:
    """Store the float bias of a layer with float output in int32, in place, if it fits.

    Args:
        model: the graph.
        node: the layer.
        bias: float32 (channels,).
        products: the scale of its products, a scalar or (channels,).
    """
    if bias.ndim != 1 or (np.abs(bias) > products.astype(np.float64) * qdq.BIAS_STEPS).any():
        return False
    node.input[qdq.BIAS_INPUT] = name = qdq.add_constant(model, f"{node.output[0]}/bias", bias)
    qdq.store_bias(model, name, bias, products)
    return True
