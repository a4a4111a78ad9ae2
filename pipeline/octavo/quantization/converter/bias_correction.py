"""Correct the biases of a LiteRT file for the shift that quantization causes in each layer's mean output.

Source: M. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, section 4.2,
empirical form. A layer is linear, so its mean output is its output for the mean input.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.lib.stride_tricks import sliding_window_view

from octavo.backends.litert.content.tensors import array, code, read, store, write
from octavo.quantization.converter.means import mean_inputs

Code, Type = schema.BuiltinOperator, schema.TensorType
OUTPUT_AXIS = {Code.CONV_2D: 0, Code.DEPTHWISE_CONV_2D: 3, Code.FULLY_CONNECTED: 0}
WEIGHT, BIAS = 1, 2
INTEGERS, FLOATS = (Type.INT8, Type.INT8, Type.INT32), (Type.FLOAT32,) * 3
"""Types of input, weights and bias."""
IMAGES = 128
ENDS = np.iinfo(np.int32)
ROUNDING = 0.51
"""Largest distance of a weight or a bias from its integer, in steps."""

Pair = tuple[schema.OperatorT, schema.OperatorT]


def correct(content: bytes, floats: bytes, images: np.ndarray) -> bytes:
    """Return the file with corrected biases; the same bytes if no integer layer has a bias.

    Layers are corrected in the order in which they run, so that a shift that an earlier correction removes is not
    corrected twice. A bias stays unchanged if the corrected value would leave int32.

    Args:
        content: an integer LiteRT file.
        floats: the LiteRT file that the converter makes from the same network in float.
        images: (N, H, W[, C]), as a split stores them. The first 128 are used.
    """
    model, reference = read(content), read(floats)
    pairs = list(_pairs(model, reference))
    exact = mean_inputs(reference, [original for _, original in pairs], images[:IMAGES])
    for (operator, original), mean in zip(pairs, exact, strict=True):
        (rounded,) = mean_inputs(model, [operator], images[:IMAGES])
        _shift_bias(model, operator, _mean_output(reference, original, mean) - _mean_output(model, operator, rounded))
    return write(model) if pairs else content


def _pairs(model: schema.ModelT, reference: schema.ModelT) -> Iterator[Pair]:
    """Integer layers that share their bias with no other, each with the float layer that it was made from."""
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
    """Whether the operator is a layer with constant weights and bias, and its tensors have these types.

    Args:
        model: the file.
        operator: one of its operators.
        types: of input, weights and bias.
    """
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
    """Weights as real numbers, float64 (outputs, height, width, inputs of a group)."""
    kind, tensor = code(model, operator), model.subgraphs[0].tensors[operator.inputs[WEIGHT]]
    stored = array(model, tensor, np.int8 if tensor.type == Type.INT8 else np.float32).astype(np.float64)
    rows = np.moveaxis(stored, OUTPUT_AXIS[kind], 0)
    rows = rows[:, None, None] if kind == Code.FULLY_CONNECTED else rows
    rows = rows.transpose(0, 2, 3, 1) if kind == Code.DEPTHWISE_CONV_2D else rows
    return rows * _scale(tensor).reshape(-1, 1, 1, 1) if tensor.type == Type.INT8 else rows


def _bias(model: schema.ModelT, operator: schema.OperatorT) -> np.ndarray:
    """The bias as real numbers, float64 (channels,)."""
    tensor = model.subgraphs[0].tensors[operator.inputs[BIAS]]
    stored = array(model, tensor, np.int32 if tensor.type == Type.INT32 else np.float32).astype(np.float64)
    return stored * _scale(tensor) if tensor.type == Type.INT32 else stored


def _scale(tensor: schema.TensorT) -> np.ndarray:
    return np.asarray(tensor.quantization.scale, np.float64)


def _mean_output(model: schema.ModelT, operator: schema.OperatorT, image: np.ndarray) -> np.ndarray:
    """A layer's mean output over all positions, before its activation function, float64 (channels,).

    Args:
        model: the file.
        operator: the layer.
        image: its mean input, float64 (1, ...).
    """
    weights = _weights(model, operator)
    outputs, height, width, inputs = weights.shape
    dense = code(model, operator) == Code.FULLY_CONNECTED  # it flattens all axes of its input except the last
    patch = image.reshape(-1, inputs).mean(0) if dense else _mean_patch(image, operator, height, width)
    grouped = patch.reshape(height, width, -1, inputs)
    groups = grouped.shape[2]
    rows = weights.reshape(groups, outputs // groups, height, width, inputs)
    return np.einsum("gohwi,hwgi->go", rows, grouped).ravel() + _bias(model, operator)


def _mean_patch(image: np.ndarray, operator: schema.OperatorT, height: int, width: int) -> np.ndarray:
    """The mean input of the kernel over all its positions, float64 (height, width, channels).

    Args:
        image: the layer's mean input, float64 (1, H, W, C).
        operator: a convolution.
        height, width: of the kernel, in pixels.
    """
    options = operator.builtinOptions
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor, options.dilationWFactor
    spans = [(size - 1) * factor + 1 for size, factor in zip((height, width), dilations, strict=True)]
    if options.padding == schema.Padding.SAME:
        image = np.pad(image, [(0, 0), *map(_padding, image.shape[1:3], spans, strides), (0, 0)])
    windows = sliding_window_view(image[0], spans, axis=(0, 1))[:: strides[0], :: strides[1]]
    return windows[..., :: dilations[0], :: dilations[1]].mean((0, 1)).transpose(1, 2, 0)


def _padding(size: int, span: int, stride: int) -> tuple[int, int]:
    """Number of zeros before and after, as in TensorFlow's padding SAME.

    Args:
        size: of the image along one axis, in pixels.
        span: pixels that the dilated kernel covers.
        stride: pixels between two positions of the kernel.
    """
    whole = max((-(-size // stride) - 1) * stride + span - size, 0)
    return whole // 2, whole - whole // 2


def _shift_bias(model: schema.ModelT, operator: schema.OperatorT, shift: np.ndarray) -> None:
    tensor = model.subgraphs[0].tensors[operator.inputs[BIAS]]
    steps = array(model, tensor, np.int32)
    shifted = np.rint(steps + shift / _scale(tensor))
    fits = np.abs(shifted) < ENDS.max
    store(model, tensor, np.where(fits, shifted, steps).astype(np.int32))
