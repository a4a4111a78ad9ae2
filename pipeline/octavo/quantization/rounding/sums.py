"""Make the kernels of several runtimes round the sum of two quantized values alike.

onnxruntime adds in float32, XNNPACK with multipliers of 21 bits, LiteRT's reference kernels and TFLite Micro with two
roundings of 31 bits. For a few of the 65,536 pairs of 8-bit values the sum lies so close to the middle between two
steps that they round it apart. Images contain many equal pixels, so this matters: on MNIST one such pair was 0.65% of
all sums in a residual network, and nine of ten images got other logits in LiteRT. A change of the output scale by a few
units in the last place makes them agree.

Sources: `src/microparams-init.c` of XNNPACK (`xnn_init_qs8_add_minmax`), `kernels/internal/reference/add.h` and
`kernels/internal/common.h` of LiteRT. Both are repeated here in integers, because not every installation has LiteRT.
"""

from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from octavo.onnx_graph import qdq

UNITS = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Distances from the scale to try, in units in the last place. Of equally good ones the smallest is taken."""
ENDS = ["DequantizeLinear", "DequantizeLinear", "QuantizeLinear"]
FIRST, SECOND = (places.ravel() for places in np.indices((256, 256)))
"""Every pair of two uint8 values, int64."""
MULTIPLIER_BITS = 20
LEFT_SHIFT = 20
LEAST, MOST = 2**-10, 2**8
"""Ratios of the scales of values and sum that XNNPACK has a kernel for."""


class Addition(NamedTuple):
    """Scale, float32, and zero point, uint8, of both values and of their sum."""

    first_scale: np.ndarray
    first_zero: np.ndarray
    second_scale: np.ndarray
    second_zero: np.ndarray
    scale: np.ndarray
    zero: np.ndarray


def settle(model: onnx.ModelProto) -> None:
    """Choose the scale of the output of each quantized Add, in place.

    QuantizeLinear and DequantizeLinear may get different scales: LiteRT computes with the second one.
    """
    for node in [node for node in model.graph.node if node.op_type == "Add"]:
        found = _grids(model, node)  # a sum before this one may have changed the scale of its inputs
        if found is not None:
            rounding, grids = found
            scale, rounded = _best(grids)
            if rounded != scale or scale != grids.scale:
                replace_scales(model, rounding, rounded, scale)


def replace_scales(model: onnx.ModelProto, rounding: onnx.NodeProto, rounded: np.ndarray, scale: np.ndarray) -> None:
    """Give a QuantizeLinear and what reads it other scales, in place.

    Args:
        model: the graph.
        rounding: the QuantizeLinear.
        rounded: its scale.
        scale: of the DequantizeLinear behind it.
    """
    name = rounding.output[0]
    rounding.input[1] = qdq.add_constant(model, f"{name}/scale", rounded)
    for reader in qdq.consumers(model)[name]:
        if reader.op_type == "DequantizeLinear":
            reader.input[1] = qdq.add_constant(model, f"{name}/real/scale", scale)


def _grids(model: onnx.ModelProto, node: onnx.NodeProto) -> tuple[onnx.NodeProto, Addition] | None:
    """The QuantizeLinear behind an Add, and the grids; None if a value is not in integers."""
    constants, makers, readers = qdq.initializers(model), qdq.producers(model), qdq.consumers(model)
    reader = node
    while (reader is node or reader.op_type in qdq.CLIPS) and reader.output[0] in readers:
        reader = readers[reader.output[0]][0]
    ends = [*(makers.get(name, node) for name in node.input), reader]
    if [end.op_type for end in ends] != ENDS:
        return None
    grids = [constants[name] for end in ends for name in end.input[1:]]
    if [(grid.size, grid.dtype.name) for grid in grids] != [(1, "float32"), (1, "uint8")] * 3:
        return None
    return reader, Addition(*(grid.reshape(()) for grid in grids))


def _best(grids: Addition) -> tuple[np.ndarray, np.ndarray]:
    """The scale, and the one that onnxruntime rounds with, that make the fewest of all pairs differ."""
    if not LEAST <= max(grids.first_scale, grids.second_scale) / grids.scale < MOST:
        return grids.scale, grids.scale
    near = [(grids.scale.view(np.int32) + units).view(np.float32) for units in UNITS]
    computed = [_onnxruntime(grids._replace(scale=scale)) for scale in near]
    best, least = (0, 0), len(FIRST) * 3
    for real, scale in enumerate(near):
        other = grids._replace(scale=scale)
        wanted = [_xnnpack(other), _reference(other)]
        for rounded, sums in enumerate(computed):
            differences = sum(int(np.count_nonzero(sums != each)) for each in wanted)
            if differences < least:
                best, least = (real, rounded), differences
        if not least:
            break
    return near[best[0]], near[best[1]]


def _onnxruntime(grids: Addition) -> np.ndarray:
    """The sum of every pair, uint8 (65536,), as onnxruntime computes it."""
    names = list(Addition._fields)
    inputs = ["first", *names[:2], "second", *names[2:]]
    graph = helper.make_graph(
        [helper.make_node("QLinearAdd", inputs, ["sum"], domain="com.microsoft")],
        "sums",
        [helper.make_tensor_value_info(name, TensorProto.UINT8, [None]) for name in ("first", "second")],
        [helper.make_tensor_value_info("sum", TensorProto.UINT8, [None])],
        [numpy_helper.from_array(np.asarray(grid), name) for grid, name in zip(grids, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {"first": FIRST.astype(np.uint8), "second": SECOND.astype(np.uint8)}
    return np.asarray(session.run(None, fed)[0])


def _xnnpack(grids: Addition) -> np.ndarray:
    """As `_onnxruntime`, of XNNPACK: one multiplier of 21 bits a value, halves round up."""
    factors = [grids.first_scale / grids.scale, grids.second_scale / grids.scale]
    exponent = int(np.frexp(max(factors))[1]) - 1
    shift = MULTIPLIER_BITS - exponent
    first, second = (int(np.rint(np.ldexp(np.float64(factor), shift))) for factor in factors)
    total = (FIRST - int(grids.first_zero)) * first + (SECOND - int(grids.second_zero)) * second
    return _cut(((total + (1 << (shift - 1))) >> shift) + int(grids.zero))


def _reference(grids: Addition) -> np.ndarray:
    """As `_onnxruntime`, of LiteRT's reference kernels and TFLite Micro: both values are scaled, then their sum."""
    first, second, scale = (float(grid) for grid in (grids.first_scale, grids.second_scale, grids.scale))
    twice = 2 * max(first, second)
    total = times((FIRST - int(grids.first_zero)) << LEFT_SHIFT, first / twice)
    total += times((SECOND - int(grids.second_zero)) << LEFT_SHIFT, second / twice)
    return _cut(times(total, twice / ((1 << LEFT_SHIFT) * scale)) + int(grids.zero))


def times(values: np.ndarray, factor: float) -> np.ndarray:
    """The product of integers with a factor of 31 bits, as LiteRT's reference kernels compute it.

    Halves round up, and in a second rounding away from zero.
    """
    mantissa, exponent = np.frexp(factor)
    products = (values << max(int(exponent), 0)) * int(np.rint(np.ldexp(mantissa, 31)))
    nudged = products + np.where(products >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    shift = max(-int(exponent), 0)
    rest, half = high & ((1 << shift) - 1), ((1 << shift) - 1) >> 1
    return (high >> shift) + (rest > half + (high < 0))


def _cut(sums: np.ndarray) -> np.ndarray:
    return np.clip(sums, 0, 255).astype(np.uint8)
