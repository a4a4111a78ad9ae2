"""LiteRT files run by their own scales, whatever stands at their ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from octavo.backends import latency
from octavo.backends.predictor import Quantization
from octavo.backends.registry import open_model
from octavo.data.input_encoding import encode
from octavo.evaluation import integer_coverage
from octavo.project.errors import ModelError
from octavo_mlflow.flavors.litert import LiteRTModel
from tests.litert_files import OUT_SCALE, Code, File, dense

PIXELS = {np.int8: -128, np.uint8: 0}
"""The zero points with which a scale of 1/255 makes integers of bytes."""
AS_BYTES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(4), st.just(4)))
AS_FLOATS = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 3), st.just(4), st.just(4)), elements=st.floats(-1, 2, width=32)
)


ENDS = [
    (np.float32, np.float32),
    (np.int8, np.float32),
    (np.float32, np.int8),
    (np.int8, np.int8),
    (np.uint8, np.uint8),
]


@pytest.mark.parametrize(("source", "target"), ENDS[1:])
@pytest.mark.parametrize(("scale", "zero"), [(1 / 255, -128), (0.0123, 5)])
def test_integers_at_the_ends_change_no_logit(
    source: Any, target: Any, scale: float, zero: int, tmp_path: Path
) -> None:
    """Bytes and floats, a scale that gives bytes back and one that does not, one end and both."""
    reference = open_model(dense(np.float32, np.float32, scale, zero).write(tmp_path / "float.tflite"))
    path = dense(source, target, scale, zero).write(tmp_path / "integer.tflite")
    predict = open_model(path)
    images = np.random.default_rng(1).integers(0, 256, (50, 4, 4), np.uint8)
    expected = reference(images)
    for batch in images, encode(images):
        got = predict(batch)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(LiteRTModel(path).predict(batch), expected)
    assert integer_coverage.output_step(path) == pytest.approx(OUT_SCALE)
    assert integer_coverage.prove(path, predict.feed(images)).integer_compute_share == 1


def test_images_that_a_file_fails_on_do_not_change_it(tmp_path: Path) -> None:
    """A file whose images have any height, and whose weights have one."""
    file = dense(np.float32, np.float32)
    for tensor in file.main.made.tensors:
        if tensor.name in {"x", "image"}:
            tensor.shapeSignature[1] = -1
    path = file.write(tmp_path / "model.tflite")
    images = np.random.default_rng(1).random((2, 4, 4), np.float32)
    for run in open_model(path).run, LiteRTModel(path).run:
        expected = run(images)
        with pytest.raises((RuntimeError, ValueError)):
            run(images[:, :3])
        np.testing.assert_array_equal(run(images), expected)


@pytest.mark.parametrize("dtype", PIXELS)
@given(images=AS_BYTES)
def test_bytes_pass_straight_where_the_scale_is_that_of_pixels(dtype: Any, images: np.ndarray) -> None:
    quantization = Quantization(np.dtype(dtype), float(np.float32(1 / 255)), PIXELS[dtype])
    straight = (images.astype(np.int16) + PIXELS[dtype]).astype(dtype)
    np.testing.assert_array_equal(quantization.integers(encode(images)), straight)


@given(AS_FLOATS, st.floats(2**-10, 8, width=32), st.integers(-128, 127))
def test_quantizing_is_the_nearest_there_is(images: np.ndarray, scale: float, zero: int) -> None:
    """Real values come back within half a step, or at the end of what int8 can say."""
    quantization = Quantization(np.dtype(np.int8), scale, zero)
    integers = quantization.integers(images)
    back = quantization.real(integers)
    off = np.abs(back - images)
    inside = (integers > -128) & (integers < 127)
    assert (off[inside] <= scale / 2 * (1 + 1e-5)).all()
    np.testing.assert_array_equal(quantization.integers(back), integers)


def test_halves_go_to_even() -> None:
    quantization = Quantization(np.dtype(np.int8), 1.0, 0)
    np.testing.assert_array_equal(quantization.integers(np.array([0.5, 1.5, -0.5, -1.5], np.float32)), [0, 2, 0, -2])


def test_its_ends_are_on_the_scorecard(tmp_path: Path) -> None:
    interface = integer_coverage.interface(dense().write(tmp_path / "model.tflite"))
    assert str(interface.input) == "int8 (N, 4, 4), scale 0.00392156886, zero point -128"
    assert str(interface.output) == "int8 (N, 3), scale 0.0500000007, zero point 7"


def test_it_is_timed_from_its_own_integers_to_logits(tmp_path: Path) -> None:
    opened = open_model(dense().write(tmp_path / "int8.tflite"))
    calls: list[tuple[np.dtype[Any], np.dtype[Any]]] = []

    def run(images: np.ndarray) -> np.ndarray:
        logits = opened.run(images)
        calls.append((images.dtype, logits.dtype))
        return logits

    latency.measure({"int8": replace(opened, run=run)}, "int8", np.zeros((2, 4, 4), np.uint8), batch=2, rounds=1)
    assert set(calls) == {(np.dtype(np.int8), np.dtype(np.float32))}


def two_outputs() -> File:
    file = dense()
    file.main.made.outputs = [*file.main.made.outputs, *file.main.made.inputs]
    return file


def wide(end: str) -> File:
    file = File()
    file.main.value("x", [-1, 4], np.int16 if end == "x" else np.float32, scale=0.1 if end == "x" else ())
    file.main.value("y", [-1, 4], np.float32 if end == "x" else np.int16, scale=0.1 if end == "y" else ())
    file.main.operator(Code.DEQUANTIZE if end == "x" else Code.QUANTIZE, ["x"], ["y"], version=3)
    file.main.ends(["x"], ["y"])
    return file


def without_scale() -> File:
    file = dense()
    file.main.made.tensors[0].quantization = None
    return file


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (two_outputs(), "has 1 inputs and 2 outputs; a classifier has one each"),
        (wide("x"), "takes int16; allowed are float32, int8 and uint8"),
        (wide("y"), "gives int16; allowed are float32, int8 and uint8"),
        (without_scale(), "takes int8 without one scale and zero point"),
    ],
)
def test_ends_that_mean_nothing_get_a_sentence(file: File, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=sentence):
        open_model(file.write(tmp_path / "model.tflite"))


def test_bytes_without_a_scale_are_pixels(tmp_path: Path) -> None:
    file = File()
    file.main.value("x", [-1, 4], np.uint8)
    file.main.value("y", [-1, 4])
    file.main.operator(Code.CAST, ["x"], ["y"], "CastOptions", inDataType=3, outDataType=0)
    file.main.ends(["x"], ["y"])
    predict = open_model(file.write(tmp_path / "model.tflite"))
    images = np.array([[0, 1, 128, 255]], np.uint8)
    for batch in images, encode(images):
        np.testing.assert_array_equal(predict(batch), images)
