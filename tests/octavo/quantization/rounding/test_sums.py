"""The kernels of three runtimes add every pair of quantized values as they are said to, and a settled scale agrees."""

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from onnx import TensorProto, helper, numpy_helper

from octavo.backends.litert.content.packing import FileGraph, FileOperator, FileTensor, Scaling, pack
from octavo.onnx_graph import qdq
from octavo.quantization.rounding import sums
from octavo.quantization.rounding.sums import FIRST, SECOND, Addition

LEARNED = (0.023822026327252388, 0.059663183987140656, 0.03640466183423996)
"""Scales of a residual network's first sum on MNIST; its second value has zero point 105."""
RANDOM = np.random.default_rng(0)
KERNELS = {
    "XNNPACK": (OpResolverType.AUTO, sums._xnnpack),
    "reference": (OpResolverType.BUILTIN_REF, sums._reference),
}
SHIFT = 128


def residual(scales: tuple[float, float, float], zero: int) -> onnx.ModelProto:
    """The sum of `x` and `y`, clipped at 0 and rounded; `zero` is the zero point of `y`."""
    parameters = {name: np.array(scale, np.float32) for name, scale in zip("abs", scales, strict=True)}
    zeros = {"zero": np.array(0, np.uint8), "shifted": np.array(zero, np.uint8)}
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "a", "zero"], ["dx"]),
        helper.make_node("DequantizeLinear", ["y", "b", "shifted"], ["dy"]),
        helper.make_node("Add", ["dx", "dy"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["relu"]),
        helper.make_node("QuantizeLinear", ["relu", "s", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "zero"], ["logits"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, [None]) for name in "xy"]
    target = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None])
    stored = [numpy_helper.from_array(array, name) for name, array in (parameters | zeros).items()]
    return helper.make_model(helper.make_graph(nodes, "g", ends, [target], stored))


def grids(model: onnx.ModelProto, ends: str) -> Addition:
    """Scales and zero points of the sum; of the output those of the operator `ends`."""
    constants = qdq.initializers(model)
    last = [node for node in model.graph.node if node.op_type == ends][-1]
    return Addition(*(constants[name] for name in ("a", "zero", "b", "shifted", *last.input[1:])))


def apart(model: onnx.ModelProto) -> list[int]:
    """Pairs that LiteRT's two kernel sets add otherwise than onnxruntime does."""
    computed = sums._onnxruntime(grids(model, "QuantizeLinear"))
    wanted = grids(model, "DequantizeLinear")
    return [int(np.count_nonzero(computed != kernel(wanted))) for kernel in (sums._xnnpack, sums._reference)]


def drawn(ratios: tuple[float, float]) -> Addition:
    """A random addition; the larger of the values' scales is to the sum's as one of these ratios or between them."""
    scale = np.float32(np.exp(RANDOM.uniform(-6, 1)))
    ratio = np.exp(RANDOM.uniform(*np.log(ratios)))
    scales = np.array([scale * ratio, scale * ratio * np.exp(RANDOM.uniform(-5, 0))], np.float32)
    RANDOM.shuffle(scales)
    zeros = RANDOM.choice([0, 255, *RANDOM.integers(0, 256, 4)], 3).astype(np.uint8)
    return Addition(
        *(np.array(each) for each in (scales[0], zeros[0], scales[1], zeros[1], scale, zeros[2])),
    )


def computed(addition: Addition, resolver: OpResolverType) -> np.ndarray:
    """The sum of every pair, uint8 (65536,), by LiteRT's interpreter."""
    pairs = [addition[place : place + 2] for place in (0, 2, 4)]
    tensors = [
        FileTensor(
            (1, len(FIRST)),
            schema.TensorType.INT8,
            Scaling(scale.reshape(1), zero.reshape(1).astype(np.int64) - SHIFT),
            name=name,
        )
        for (scale, zero), name in zip(pairs, ("first", "second", "sum"), strict=True)
    ]
    options = schema.AddOptionsT()
    options.potScaleInt16 = False
    graph = FileGraph(tensors, [FileOperator(schema.BuiltinOperator.ADD, 2, [0, 1], [2], options)], [0, 1], [2])
    interpreter = Interpreter(model_content=pack(graph), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), (FIRST, SECOND), strict=True):
        interpreter.set_tensor(details["index"], (values - SHIFT).astype(np.int8)[None])
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return (result.astype(np.int64) + SHIFT).astype(np.uint8)


@pytest.mark.parametrize("ratios", [(0.3, 3), (2**-9.9, 0.3), (3, 2**7.9)], ids=["usual", "coarse", "fine"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_pair_is_added_as_the_kernel_adds_it(kernel: str, ratios: tuple[float, float]) -> None:
    resolver, formula = KERNELS[kernel]
    for _ in range(25):
        addition = drawn(ratios)
        np.testing.assert_array_equal(formula(addition), computed(addition, resolver), err_msg=str(addition))


def test_the_scale_moves_by_no_more_than_it_must() -> None:
    learned, settled = residual(LEARNED, 105), residual(LEARNED, 105)
    assert sum(apart(learned)) > 0
    sums.settle(settled)
    assert sum(apart(settled)) == 0
    for ends in ("QuantizeLinear", "DequantizeLinear"):
        assert abs(float(grids(settled, ends).scale) / LEARNED[2] - 1) < 1e-6


def test_sums_that_are_right_stay_as_they_are() -> None:
    model = residual((0.05, 0.06, 0.07), 105)
    before = model.SerializeToString()
    assert apart(model) == [0, 0]
    sums.settle(model)
    assert model.SerializeToString() == before


def test_settled_scales_agree_for_more_pairs_than_the_given_ones() -> None:
    for _ in range(8):
        first, _, second, zero, scale, _ = drawn((0.3, 1.5))
        model = residual((float(first), float(second), float(scale)), int(zero))
        before = sum(apart(model))
        sums.settle(model)
        assert sum(apart(model)) <= before


def test_scales_beyond_xnnpacks_kernels_stay_as_they_are() -> None:
    """A sum whose steps are a thousand times as small as its values', or as large."""
    for scales in ((0.05, 0.01, 5e-5), (1e-5, 2e-5, 0.1)):
        model = residual(scales, 105)
        before = model.SerializeToString()
        sums.settle(model)
        assert model.SerializeToString() == before
