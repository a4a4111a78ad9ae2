"""Biases of a LiteRT file that make up for what quantization shifts each layer's mean output by.

Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2,
empirical form. A layer is linear, so its mean output is what it gives of its mean input.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.lib.stride_tricks import sliding_window_view

from octavo.backends.litert.tensors import array, code, read, store, write
from octavo.quantization.litert.means import mean_inputs

Code, Type = schema.BuiltinOperator, schema.TensorType
OUTPUT_AXIS = {Code.CONV_2D: 0, Code.DEPTHWISE_CONV_2D: 3, Code.FULLY_CONNECTED: 0}
WEIGHT, BIAS = 1, 2
INTEGERS, FLOATS = (Type.INT8, Type.INT8, Type.INT32), (Type.FLOAT32,) * 3
"""Of input, weights and bias."""
IMAGES = 128
ENDS = np.iinfo(np.int32)
ROUNDING = 0.51
"""Steps that a weight or a bias may lie from its integer."""

Pair = tuple[schema.OperatorT, schema.OperatorT]


def correct(content: bytes, floats: bytes, images: np.ndarray) -> bytes:
    """The same file with corrected biases; the same bytes where it has no layer in integers that has one.

    Layer by layer in the order they run, so that what one correction mends further down is not mended again. A bias
    that would leave int32 stays as it is.

    Args:
        content: a LiteRT file in integers.
        floats: what LiteRT's converter makes of the same network in float.
        images: as a split has them; the first 128 are taken.
    """
    model, reference = read(content), read(floats)
    pairs = list(_pairs(model, reference))
    exact = mean_inputs(reference, [original for _, original in pairs], images[:IMAGES])
    for (operator, original), mean in zip(pairs, exact, strict=True):
        (rounded,) = mean_inputs(model, [operator], images[:IMAGES])
        _shift_bias(model, operator, _mean_output(reference, original, mean) - _mean_output(model, operator, rounded))
    return write(model) if pairs else content


def _pairs(model: schema.ModelT, reference: schema.ModelT) -> Iterator[Pair]:
    """Layers in integers whose bias is theirs alone, each with the float layer that it was made of."""
    originals = list(reference.subgraphs[0].operators)
    graph = model.subgraphs[0]
    readers = Counter(int(index) for operator in graph.operators for index in operator.inputs)
    for operator in graph.operators:
        if _has_bias(model, operator, INTEGERS) and readers[operator.inputs[BIAS]] == 1:
            original = next((each for each in originals if _is_made_of(model, operator, reference, each)), None)
            if original is not None:
                originals.remove(original)
                yield operator, original


def _has_bias(model: schema.ModelT, operator: schema.OperatorT, types: Sequence[int]) -> bool:
    """Whether it is a layer with stored weights and bias, whose input, weights and bias are of these types."""
    if code(model, operator) not in OUTPUT_AXIS or len(operator.inputs) <= BIAS or operator.inputs[BIAS] < 0:
        return False
    tensors = [model.subgraphs[0].tensors[index] for index in operator.inputs]
    if any(model.buffers[tensor.buffer].data is None for tensor in tensors[WEIGHT:]):
        return False
    return [tensor.type for tensor in tensors] == [*types]


def _is_made_of(
    model: schema.ModelT, operator: schema.OperatorT, reference: schema.ModelT, original: schema.OperatorT
) -> bool:
    if not _has_bias(reference, original, FLOATS) or code(model, operator) != code(reference, original):
        return False
    weights, exact = _weights(model, operator), _weights(reference, original)
    if weights.shape != exact.shape:
        return False
    weight, bias = (_scale(model.subgraphs[0].tensors[operator.inputs[place]]) for place in (WEIGHT, BIAS))
    near = np.abs(weights - exact) <= ROUNDING * weight.reshape(-1, 1, 1, 1)
    wanted = _bias(reference, original)
    alike = np.abs(_bias(model, operator) - wanted) <= ROUNDING * bias + 1e-5 * np.abs(wanted)
    return bool(near.all() and alike.all())


def _weights(model: schema.ModelT, operator: schema.OperatorT) -> np.ndarray:
    """What they stand for, float64 (outputs, height, width, inputs of a group)."""
    kind, tensor = code(model, operator), model.subgraphs[0].tensors[operator.inputs[WEIGHT]]
    stored = array(model, tensor, np.int8 if tensor.type == Type.INT8 else np.float32).astype(np.float64)
    rows = np.moveaxis(stored, OUTPUT_AXIS[kind], 0)
    rows = rows[:, None, None] if kind == Code.FULLY_CONNECTED else rows
    rows = rows.transpose(0, 2, 3, 1) if kind == Code.DEPTHWISE_CONV_2D else rows
    return rows * _scale(tensor).reshape(-1, 1, 1, 1) if tensor.type == Type.INT8 else rows


def _bias(model: schema.ModelT, operator: schema.OperatorT) -> np.ndarray:
    """What it stands for, float64 (channels,)."""
    tensor = model.subgraphs[0].tensors[operator.inputs[BIAS]]
    stored = array(model, tensor, np.int32 if tensor.type == Type.INT32 else np.float32).astype(np.float64)
    return stored * _scale(tensor) if tensor.type == Type.INT32 else stored


def _scale(tensor: schema.TensorT) -> np.ndarray:
    return np.asarray(tensor.quantization.scale, np.float64)


def _mean_output(model: schema.ModelT, operator: schema.OperatorT, image: np.ndarray) -> np.ndarray:
    """Of a layer that reads this on average, before its activation, float64 (channels,), over all places."""
    weights = _weights(model, operator)
    outputs, height, width, inputs = weights.shape
    dense = code(model, operator) == Code.FULLY_CONNECTED  # it flattens what it reads, but for its own inputs
    patch = image.reshape(-1, inputs).mean(0) if dense else _mean_patch(image, operator, height, width)
    grouped = patch.reshape(height, width, -1, inputs)
    groups = grouped.shape[2]
    rows = weights.reshape(groups, outputs // groups, height, width, inputs)
    return np.einsum("gohwi,hwgi->go", rows, grouped).ravel() + _bias(model, operator)


def _mean_patch(image: np.ndarray, operator: schema.OperatorT, height: int, width: int) -> np.ndarray:
    """What the kernel sees on average over its places, (height, width, channels)."""
    options = operator.builtinOptions
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor, options.dilationWFactor
    spans = [(size - 1) * factor + 1 for size, factor in zip((height, width), dilations, strict=True)]
    if options.padding == schema.Padding.SAME:
        image = np.pad(image, [(0, 0), *map(_padding, image.shape[1:3], spans, strides), (0, 0)])
    windows = sliding_window_view(image[0], spans, axis=(0, 1))[:: strides[0], :: strides[1]]
    return windows[..., :: dilations[0], :: dilations[1]].mean((0, 1)).transpose(1, 2, 0)


def _padding(size: int, span: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as TensorFlow's SAME has them."""
    whole = max((-(-size // stride) - 1) * stride + span - size, 0)
    return whole // 2, whole - whole // 2


def _shift_bias(model: schema.ModelT, operator: schema.OperatorT, shift: np.ndarray) -> None:
    tensor = model.subgraphs[0].tensors[operator.inputs[BIAS]]
    steps = array(model, tensor, np.int32)
    shifted = np.rint(steps + shift / _scale(tensor))
    fits = np.abs(shifted) < ENDS.max
    store(model, tensor, np.where(fits, shifted, steps).astype(np.int32))
