"""Corrected biases bring the mean of every kind of layer back to that of the float network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from octavo.quantization.converter.bias_correction import correct
from tests.litert_files import Code, File

STEP = 1 / 255
"""Of the data, which are integers from the start: only the layer itself is to blame."""
WEIGHT_STEP, OUT_STEP = 0.01, 0.04
IMAGES = np.random.default_rng(0).integers(0, 256, (128, 5, 6, 4)).astype(np.float32) * np.float32(STEP)

SPACE: dict[str, Any] = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1, "padding": 1}
SAME = SPACE | {"padding": 0}
DEPTHWISE = SAME | {"depthMultiplier": 2}
KINDS: dict[str, tuple[int, str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "valid": (Code.CONV_2D, "Conv2DOptions", (8, 3, 3, 4), (3, 4, 8), SPACE),
    "same": (Code.CONV_2D, "Conv2DOptions", (8, 3, 3, 4), (5, 6, 8), SAME),
    "strided": (Code.CONV_2D, "Conv2DOptions", (8, 3, 2, 4), (3, 2, 8), SAME | {"strideH": 2, "strideW": 3}),
    "dilated": (Code.CONV_2D, "Conv2DOptions", (8, 2, 3, 4), (5, 6, 8), SAME | {"dilationHFactor": 3}),
    "grouped": (Code.CONV_2D, "Conv2DOptions", (8, 3, 3, 2), (5, 6, 8), SAME),
    "depthwise": (Code.DEPTHWISE_CONV_2D, "DepthwiseConv2DOptions", (1, 3, 3, 8), (5, 6, 8), DEPTHWISE),
    "dense": (Code.FULLY_CONNECTED, "FullyConnectedOptions", (8, 120), (8,), {}),
    "dense on places": (Code.FULLY_CONNECTED, "FullyConnectedOptions", (8, 4), (5, 6, 8), {"keepNumDims": True}),
}


def files(kind: str, bias: Sequence[int] | None = None) -> tuple[bytes, bytes]:
    """The layer in integers and in float, whose weights lie 0.4 steps above the integers."""
    code, options, shape, places, values = KINDS[kind]
    axis = 3 if code == Code.DEPTHWISE_CONV_2D else 0
    integers = np.random.default_rng(1).integers(-9, 10, shape).astype(np.int8)
    steps = np.asarray(range(-4, 4) if bias is None else bias, np.int32)
    quantized, real = File(), File()
    quantized.main.value("x", [-1, 5, 6, 4], np.int8, scale=STEP, zero=-128)
    quantized.main.constant("w", integers, scale=[WEIGHT_STEP] * 8, axis=axis)
    quantized.main.constant("b", steps, scale=[STEP * WEIGHT_STEP] * 8)
    quantized.main.value("y", [-1, *places], np.int8, scale=OUT_STEP)
    real.main.value("x", [-1, 5, 6, 4])
    real.main.constant("w", (integers + np.float32(0.4)) * np.float32(WEIGHT_STEP))
    real.main.constant("b", (steps * STEP * WEIGHT_STEP).astype(np.float32))
    real.main.value("y", [-1, *places])
    for file in (quantized, real):
        file.main.operator(code, ["x", "w", "b"], ["y"], options, version=5, **values)
        file.main.ends(["x"], ["y"])
    return quantized.content(), real.content()


def means(content: bytes) -> np.ndarray:
    """Mean output by channel."""
    interpreter = Interpreter(model_content=content)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], IMAGES.shape)
    interpreter.allocate_tensors()
    integers = source["dtype"] == np.int8
    interpreter.set_tensor(source["index"], (IMAGES / STEP - 128).round().astype(np.int8) if integers else IMAGES)
    interpreter.invoke()
    output = interpreter.get_tensor(target["index"]).astype(np.float64)
    return (output * OUT_STEP if integers else output).reshape(-1, 8).mean(0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_each_kind_of_layer_is_that_of_the_float_layer(kind: str) -> None:
    quantized, real = files(kind)
    corrected = correct(quantized, real, IMAGES)
    before, after = (np.abs(means(content) - means(real)).max() for content in (quantized, corrected))
    assert before > 0.006
    assert after < 0.06 * before


def test_a_bias_at_the_end_of_its_integers_is_not_moved_beyond() -> None:
    limit = 2**31 - 5
    quantized, real = files("same", [limit] * 4 + [0] * 4)
    shift = means(correct(quantized, real, IMAGES))[4:] - means(quantized)[4:]
    assert (shift > 0.006).all()
    assert limit.to_bytes(4, "little") * 4 in correct(quantized, real, IMAGES)


def test_layers_in_float_and_layers_that_the_float_file_lacks_are_left_alone() -> None:
    quantized, real = files("same")
    assert correct(real, real, IMAGES) is real
    for other in files("grouped"), files("same", [1] * 8):
        assert correct(quantized, other[1], IMAGES) is quantized
