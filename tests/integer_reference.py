"""What a quantized ONNX graph computes, to the last bit: each operator in integers, as its kernel has it.

A graph in QDQ form says which integers go in and come out; what happens between is the runtime's business. An
operator here takes quantized values and returns a `Pending`: the integers that it makes once the QuantizeLinear
behind it has told their scale and zero point. The arithmetic is that of onnxruntime's kernels on x86, found by
experiment: int32 sums, their product with a float32 scale, rounding half to even. Sums are formed in float64, which
holds them exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Quantized:
    """real = scale * (integers - zero); scale (float32) and zero of shape () or, along `axis`, (channels,)."""

    integers: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    axis: int = 1

    def centered(self) -> np.ndarray:
        """What scale is a factor of, float64."""
        return self.integers.astype(np.float64) - along(self.zero, self.axis, self.integers.ndim)

    def real(self) -> np.ndarray:
        return self.centered().astype(np.float32) * along(self.scale, self.axis, self.integers.ndim)


Pending = Callable[[Any, Any], np.ndarray]
"""(scale, zero) of the result -> its integers, not yet saturated."""
Operator = Callable[..., Any]


def values(model: onnx.ModelProto, images: np.ndarray, operators: Mapping[str, Operator]) -> dict[str, Any]:
    """Every value of the graph by name for float32 `images` (N, H, W[, C]).

    A value is an array, a `Quantized`, or the `Pending` between an operator and its grid.

    Raises:
        KeyError: the graph has an operator that is not among `operators`.
    """
    known: dict[str, Any] = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known[model.graph.input[0].name] = images
    for node in model.graph.node:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        inputs = [known[name] for name in node.input if name]
        known[node.output[0]] = operators[node.op_type](*inputs, **attributes)
    return known


def logits(model: onnx.ModelProto, images: np.ndarray, operators: Mapping[str, Operator]) -> np.ndarray:
    """float32 (N, classes); see `values`."""
    value = values(model, images, operators)[model.graph.output[0].name]
    return value(None, None) if callable(value) else value.real()


def along(array: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """A vector shaped to spread over an array of `rank` along `axis`; a scalar as it is."""
    return array.reshape([-1 if place == axis % rank else 1 for place in range(rank)]) if array.ndim else array


def quantize(value: Any, scale: np.ndarray, zero: np.ndarray, **_: Any) -> np.ndarray:
    integers = value(scale, zero) if callable(value) else _rounded(value, scale) + zero
    limits = np.iinfo(zero.dtype)
    return np.clip(integers, limits.min, limits.max).astype(zero.dtype)


def dequantize(integers: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None, axis: int = 1) -> Quantized:
    return Quantized(integers, scale, np.zeros(scale.shape, integers.dtype) if zero is None else zero, axis)


def conv(
    images: Quantized,
    weights: Quantized,
    bias: Quantized | np.ndarray | None = None,
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    group: int = 1,
    **_: Any,
) -> Pending:
    """(N, C, H, W) with (O, C / group, h, w) and (O,)."""
    kernel = weights.integers.shape[2:]
    windows = _windows(images.centered(), kernel, strides, pads, 0)
    n, height, width = len(windows), *windows.shape[2:4]
    columns = windows.reshape(n, group, -1, height, width, *kernel).transpose(1, 0, 3, 4, 2, 5, 6)
    matrix = weights.centered().reshape(group, len(weights.integers) // group, -1).transpose(0, 2, 1)
    sums = columns.reshape(group, n * height * width, -1) @ matrix
    sums = sums.reshape(group, n, height, width, -1).transpose(1, 0, 4, 2, 3).reshape(n, -1, height, width)
    scale = images.scale * weights.scale
    return _requantized(sums + along(_steps(bias, scale), 0, 3), along(scale, 0, 3))


def gemm(rows: Quantized, weights: Quantized, bias: Quantized | np.ndarray | None = None, **_: Any) -> Pending:
    """(N, K) with (K, M) and (M,)."""
    scale = rows.scale * weights.scale
    return _requantized(rows.centered() @ weights.centered() + _steps(bias, scale), scale)


def add(a: Quantized, b: Quantized) -> Pending:
    """In float32, with fused multiply-adds; the zero points are part of what is rounded."""

    def pending(scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        ratio_a, ratio_b = a.scale / scale, b.scale / scale
        constant = np.float32(zero) - _fused(ratio_a, a.zero, ratio_b * np.float32(b.zero))
        return np.rint(_fused(ratio_a, a.integers, _fused(ratio_b, b.integers, constant)))

    return pending


def add_as_xnnpack(a: Quantized, b: Quantized) -> Pending:
    """In fixed point: multipliers of 21 bits, rounding half up (`xnn_init_qs8_add_minmax_scalar_params`)."""

    def pending(scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        ratios = np.array([a.scale / scale, b.scale / scale], np.float32)
        shift = 20 - int(np.floor(np.log2(ratios.max())))
        multipliers = np.rint(np.ldexp(ratios.astype(np.float64), shift)).astype(np.int64)
        parts = (part.centered().astype(np.int64) for part in (a, b))
        sums = sum(part * multiplier for part, multiplier in zip(parts, multipliers, strict=True))
        return (sums + (1 << shift - 1) >> shift) + zero

    return pending


def global_average_pool(images: Quantized) -> Pending:
    """(N, C, H, W): the sum, scaled once."""

    def pending(scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        sums = images.centered().sum((2, 3), keepdims=True).astype(np.float32)
        return np.rint(sums * (images.scale / (scale * np.float32(images.integers[0, 0].size)))) + zero

    return pending


def average_pool(
    images: Quantized,
    kernel_shape: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    **_: Any,
) -> Pending:
    """In float32, summed row by row without the padding; the zero point is part of what is rounded."""

    def total(array: np.ndarray) -> np.ndarray:
        windows = _windows(array, kernel_shape, strides, pads, 0)
        return np.sum([windows[..., y, x] for y, x in np.ndindex(*kernel_shape)], 0)

    average = total(images.real()) / total(np.ones(images.integers.shape, np.float32))
    return lambda scale, zero: np.rint(average / scale + np.float32(zero))


def max_pool(
    images: Quantized,
    kernel_shape: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    **_: Any,
) -> Quantized:
    windows = _windows(images.integers, kernel_shape, strides, pads, np.iinfo(images.integers.dtype).min)
    return Quantized(windows.max((-2, -1)), images.scale, images.zero)


def clip(value: Pending | Quantized, low: float = -np.inf, high: float = np.inf) -> Pending:
    """Rounding keeps order, so that integers can be cut off where the bounds are rounded to."""

    def pending(scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        integers = value(scale, zero) if callable(value) else _rounded(value, scale) + zero
        return np.clip(integers, np.rint(low / scale) + zero, np.rint(high / scale) + zero)

    return pending


def _steps(bias: Quantized | np.ndarray | None, scale: np.ndarray) -> np.ndarray:
    """The bias as int32 at `scale`: as the file has it, or as onnxruntime rounds it."""
    if isinstance(bias, Quantized):
        return bias.integers
    return np.zeros(()) if bias is None else np.rint(bias / scale)


def _requantized(sums: np.ndarray, product: np.ndarray) -> Pending:
    """`product` is that of the input's and the weights' scale, float32. Without a grid the result is real."""

    def pending(scale: np.ndarray | None, zero: np.ndarray | None) -> np.ndarray:
        real = sums.astype(np.float32)
        return real * product if scale is None else np.rint(real * (product / scale)) + zero

    return pending


def _rounded(value: np.ndarray | Quantized, scale: np.ndarray) -> np.ndarray:
    return np.rint((value.real() if isinstance(value, Quantized) else value) / scale)


def _fused(factor: np.ndarray, integers: np.ndarray, addend: np.ndarray) -> np.ndarray:
    """A multiply-add that rounds to float32 once."""
    return (factor.astype(np.float64) * integers + addend).astype(np.float32)


def _windows(
    images: np.ndarray, kernel: tuple[int, ...], strides: tuple[int, int], pads: tuple[int, ...], border: float
) -> np.ndarray:
    """(N, C, H, W) -> (N, C, H', W', h, w)."""
    sides = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    padded = np.pad(images, sides, constant_values=border)
    return sliding_window_view(padded, kernel, (2, 3))[:, :, :: strides[0], :: strides[1]]


def _mover(function: Callable[..., np.ndarray]) -> Operator:
    """An operator that hands values on, whatever they are."""

    def move(value: Any, *arguments: Any, **attributes: Any) -> Any:
        if callable(value):
            return lambda scale, zero: function(value(scale, zero), *arguments, **attributes)
        if isinstance(value, Quantized):
            return Quantized(function(value.integers, *arguments, **attributes), value.scale, value.zero)
        return function(value, *arguments, **attributes)

    return move


def _reshaped(array: np.ndarray, shape: np.ndarray, **_: Any) -> np.ndarray:
    return array.reshape([size or array.shape[place] for place, size in enumerate(shape)])


ONNXRUNTIME: dict[str, Operator] = {
    "QuantizeLinear": quantize,
    "DequantizeLinear": dequantize,
    "Conv": conv,
    "Gemm": gemm,
    "MatMul": gemm,
    "Add": add,
    "GlobalAveragePool": global_average_pool,
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "Clip": clip,
    "Relu": lambda value: clip(value, 0),
    "Reshape": _mover(_reshaped),
    "Transpose": _mover(lambda array, perm: array.transpose(perm)),
    "Squeeze": _mover(lambda array, axes: array.squeeze(tuple(axes))),
    "Unsqueeze": _mover(lambda array, axes: np.expand_dims(array, tuple(axes))),
    "Flatten": _mover(lambda array, axis=1: array.reshape(int(np.prod(array.shape[:axis])), -1)),
}
LITERT = ONNXRUNTIME | {"Add": add_as_xnnpack}
"""LiteRT's default kernels, XNNPACK's, compute the same but for sums. Its zero points are 128 lower."""
