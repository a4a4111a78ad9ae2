"""Recover the integers that quantization-aware training learned, and check that an INT8 graph keeps them exactly.

tf2onnx keeps the learned ranges of activations as QuantizeLinear/DequantizeLinear, but folds the fake quantization of
weights into float32 constants. These constants still lie on an integer grid, because folding batch normalization only
rescales the grid of each channel. So the scale can be computed from the constants, and the integers can be restored
without rounding.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from octavo.onnx_graph import qdq
from octavo.onnx_graph.qdq import Grid
from octavo.project.errors import ModelError

ROUNDING = 1e-5
"""Largest relative distance of a weight from its integer. Float32 and a folded scale cause less than 1e-6."""
PAIR = ("QuantizeLinear", "DequantizeLinear")


def recover_grid(weights: np.ndarray, axis: int) -> Grid | None:
    """Find the int8 grid that float32 `weights` lie on: one scale for all if that fits, otherwise one per channel.

    Args:
        weights: float32, any shape.
        axis: of the output channels.

    Returns:
        The grid, or None if the weights were never fake-quantized.
    """
    axis %= weights.ndim
    one_each = weights.size == weights.shape[axis]
    whole = None if one_each else _steps(weights.ravel())
    if whole is not None:
        return Grid(np.rint(weights / whole).astype(np.int8), np.array(whole, np.float32), None)
    channels = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    scales = [_steps(channel) for channel in channels]
    if None in scales:
        return None
    scale = np.array(scales, dtype=np.float64)
    integers = np.rint(channels / scale[:, None]).reshape(np.moveaxis(weights, axis, 0).shape)
    return Grid(np.moveaxis(integers, 0, axis).astype(np.int8), scale.astype(np.float32), axis)


def check(exported: onnx.ModelProto, integer: onnx.ModelProto) -> None:
    """Check that an INT8 graph has all ranges and weights of the fake-quantized network that it was made from.

    Args:
        exported: the fake-quantized network.
        integer: the INT8 graph.

    Raises:
        ModelError: a learned range or weight is missing or different; or an 8-bit zero point is missing, so that
            onnxruntime would compute in float without a warning.
    """
    faults = [*_missing_zero_points(integer), *_changed_ranges(exported, integer), *_changed_weights(exported, integer)]
    if faults:
        raise ModelError(f"The INT8 graph is not what the network learned: {'; '.join(faults)}.")


def _missing_zero_points(model: onnx.ModelProto) -> Iterator[str]:
    constants = qdq.initializers(model)
    for node in model.graph.node:
        stored = constants.get(node.input[0])
        if node.op_type in PAIR and len(node.input) < 3 and (stored is None or stored.dtype != np.int32):
            yield f"{node.op_type} of '{node.input[0]}' has no zero point"


def _changed_ranges(exported: onnx.ModelProto, integer: onnx.ModelProto) -> Iterator[str]:
    kept = list(_ranges(integer))
    for scale, zero in _ranges(exported):
        found = next((each for each in kept if each[1] == zero and np.isclose(each[0], scale, rtol=ROUNDING)), None)
        if found is None:
            yield f"the range of scale {scale:.8g} and zero point {zero} is lost"
        else:
            kept.remove(found)
    constants, makers = qdq.initializers(integer), qdq.producers(integer)
    for node in integer.graph.node:
        source = makers.get(node.input[0])
        if node.op_type == "DequantizeLinear" and source is not None and source.op_type == "QuantizeLinear":
            there, back = ([constants[name] for name in end.input[1:]] for end in (source, node))
            if there[1:] != back[1:] or not np.isclose(there[0], back[0], rtol=ROUNDING):
                yield f"'{source.input[0]}' is quantized at scale {there[0]:.8g} and dequantized at {back[0]:.8g}"


def _ranges(model: onnx.ModelProto) -> Iterator[tuple[float, int]]:
    """Scale and zero point of every DequantizeLinear of activations."""
    constants = qdq.initializers(model)
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants:
            scale, *zero = (constants[name] for name in node.input[1:])
            yield float(scale), int(zero[0]) if zero else 0


def _changed_weights(exported: onnx.ModelProto, integer: onnx.ModelProto) -> Iterator[str]:
    learned, kept = list(_weights(exported)), list(_weights(integer))
    if len(learned) != len(kept):
        yield f"{len(kept)} operators have weights, {len(learned)} had"
        return
    constants, makers = qdq.initializers(integer), qdq.producers(integer)
    biases = qdq.initializers(exported)
    for (node, weights), (source, wanted) in zip(kept, learned, strict=True):
        name, input_scale = node.input[qdq.WEIGHT_INPUT], qdq.scale_before(node.input[0], makers, constants)
        axis = qdq.OUTPUT_AXIS[node.op_type]
        grid, least = recover_grid(wanted, axis), np.zeros(1, np.float32)
        if qdq.has_bias(source) and input_scale is not None:
            least = qdq.least_scale(biases[source.input[qdq.BIAS_INPUT]], input_scale)
        coarsest = least if grid is not None else np.maximum(least, qdq.nearest(wanted, axis).scale)
        if not (np.abs(weights - wanted) <= ROUNDING * np.abs(wanted) + _half(coarsest, weights.ndim, axis)).all():
            yield f"the weights of '{node.output[0]}' are different"
            continue
        could_be = name in constants and (input_scale is not None or node.op_type not in qdq.INTEGER_KERNELS)
        if could_be and grid is not None:
            yield f"the weights of '{node.output[0]}' are float"


def _half(scale: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Half of each channel's step, shaped to broadcast with weights.

    Rounding may change weights by this much if their step had to grow for the bias, or if they were never
    fake-quantized. For other weights the tolerance has no effect: the smallest step that a bias needs is far below a
    learned step.

    Args:
        scale: float32 (channels,) or (1,).
        rank: number of dimensions of the weights.
        axis: of the output channels in the weights.
    """
    return np.expand_dims(scale / 2 * (1 + ROUNDING), [other for other in range(rank) if other != axis % rank])


def _weights(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, np.ndarray]]:
    """Operators with constant weights, and the weights as real numbers, in the order in which they run."""
    constants, makers = qdq.initializers(model), qdq.producers(model)
    for node in model.graph.node:
        name = node.input[qdq.WEIGHT_INPUT] if node.op_type in qdq.OUTPUT_AXIS else ""
        maker = makers.get(name)
        if name in constants:
            yield node, constants[name]
        elif maker is not None and maker.op_type == "Mul":
            yield node, constants[makers[maker.input[0]].input[0]] * constants[maker.input[1]]
        elif maker is not None and maker.input[0] in constants:
            yield node, _real(maker, constants)


def _real(dequantize: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> np.ndarray:
    integers, scale = (constants[name] for name in dequantize.input[:2])
    axis = next((item.i for item in dequantize.attribute if item.name == "axis"), 1)
    shape = [-1 if place == axis else 1 for place in range(integers.ndim)] if scale.ndim else []
    return integers * scale.reshape(shape)


def _steps(weights: np.ndarray) -> float | None:
    """The largest scale of which all `weights` are multiples by -127..127, refined by least squares; None if none fits.

    A single weight, for example a channel of batch normalization, is a multiple of any scale. It gets the smallest
    scale: the bias is rounded to multiples of it, and the largest scale could be as coarse as a step of the output.
    """
    peak = float(np.abs(weights).max(initial=0))
    if peak == 0:
        return 1.0
    for levels in (127,) if weights.size == 1 else range(1, 128):
        steps = weights.astype(np.float64) * (levels / peak)
        integers = np.rint(steps)
        if (np.abs(steps - integers) <= ROUNDING * np.abs(integers)).all():
            return float(weights.astype(np.float64) @ integers / (integers @ integers))
    return None
