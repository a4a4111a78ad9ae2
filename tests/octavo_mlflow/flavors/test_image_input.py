"""Both encodings of an image reach a model as Octavo's runtime would feed it, and nothing is guessed."""

import json
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mlflow.exceptions import MlflowException

from octavo.backends.predictor import Predictor, Quantization
from octavo.data.input_encoding import told
from octavo.project.params.encoding import InputEncoding, Layout
from octavo_mlflow.flavors.image_input import FLOAT32, UINT8, Input, Steps
from octavo_mlflow.flavors.image_pyfunc import ImageModel

FLOATS = Input(FLOAT32, (-1, 4, 4))
BYTES = Input(UINT8, (-1, 4, 4))
STACKS = st.tuples(st.integers(1, 3), st.just(4), st.just(4))
AS_BYTES = arrays.arrays(np.uint8, STACKS)
AS_FLOATS = arrays.arrays(np.float32, STACKS, elements=st.floats(0, 1, width=32))


def fed(takes: Input, images: np.ndarray) -> np.ndarray:
    """What Octavo's runtime feeds such a model."""
    return Predictor(lambda fed: fed, InputEncoding(dtype="uint8" if takes.dtype == UINT8 else "float32")).feed(images)


def same(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


@given(AS_BYTES | AS_FLOATS, st.sampled_from([FLOATS, BYTES]))
def test_either_encoding_is_what_the_runtime_feeds(images: np.ndarray, takes: Input) -> None:
    expected = fed(takes, images)
    for data in images, {"images": images}, images.reshape(len(images), 16), pd.DataFrame(images.reshape(-1, 16)):
        same(takes.take(data), expected)
    same(takes.take(pd.DataFrame({"images": list(images)})), expected)


@given(AS_BYTES | AS_FLOATS, st.sampled_from([FLOATS, BYTES]))
def test_json_loses_nothing_where_the_encoding_is_said(images: np.ndarray, takes: Input) -> None:
    same(takes.take(json.loads(json.dumps(images.tolist())), images.dtype.name), fed(takes, images))


@given(AS_FLOATS)
def test_floats_in_json_are_floats_whatever_the_model_takes(images: np.ndarray) -> None:
    for takes in FLOATS, BYTES:
        same(takes.take(json.loads(json.dumps(images.tolist()))), fed(takes, images))


def test_integers_in_json_are_what_the_model_takes_or_refused() -> None:
    images = np.arange(16).reshape(1, 4, 4)
    same(BYTES.take(images.tolist()), images.astype(np.uint8))
    with pytest.raises(ValueError, match=r"Integers up to 15 .* pixels in 0\.\.255, or values\?.*dtype"):
        FLOATS.take(images.tolist())
    same(FLOATS.take(images.tolist(), "uint8"), fed(FLOATS, images.astype(np.uint8)))
    same(FLOATS.take(images.tolist(), "float32"), images.astype(np.float32))
    same(FLOATS.take((images % 2).tolist()), (images % 2).astype(np.float32))


@pytest.mark.parametrize(
    ("takes", "data", "encoding", "sentence"),
    [
        (BYTES, np.full((1, 4, 4), 300), None, r"whole numbers in 0\.\.255, got 300 to 300"),
        (FLOATS, np.full((1, 4, 4), -1), "uint8", r"whole numbers in 0\.\.255, got -1"),
        (FLOATS, np.full((1, 4, 4), 0.5), "uint8", r"whole numbers in 0\.\.255, got 0\.5"),
        (BYTES, np.full((1, 4, 4), 1.2), None, r"float32 are in 0\.\.1, got 1\.2"),
        (BYTES, np.full((1, 4, 4), np.nan), None, "NaN or infinite for 1 of 1 images"),
        (FLOATS, np.stack([np.zeros((4, 4)), np.full((4, 4), np.inf)]), None, "NaN or infinite for 1 of 2 images"),
        (FLOATS, np.full((1, 4, 4), 1e39), None, "NaN or infinite for 1 of 1 images, as float32"),
        (Input(np.dtype(np.float16), (-1, 4, 4)), np.full((1, 4, 4), 1e5), None, "1 of 1 images, as float16"),
        (Input(np.dtype(np.int8), (-1, 4, 4), 1 / 255, -128), np.full((1, 4, 4), np.nan), None, "NaN or infinite"),
        (Input(FLOAT32, ()), np.nan, None, "NaN or infinite"),
        (FLOATS, "pixels" * 1000, None, "^Images are arrays of numbers, got a string.$"),
        (FLOATS, np.zeros((1, 4, 4, 3)), None, r"got \(1, 4, 4, 3\)"),
        (FLOATS, np.zeros((1, 4, 1)), None, r"got \(1, 4, 1\)"),
        (FLOATS, np.zeros((1, 4, 4)), "int4", "encoded as uint8 or float32, not as int4"),
        (FLOATS, np.zeros((4, 4)), None, r"shape \(-1, 4, 4\), the batch first; got \(4, 4\)"),
        (FLOATS, np.zeros((1, 17)), None, r"got \(1, 17\)"),
        (FLOATS, np.zeros((1, 4, 5)), None, r"got \(1, 4, 5\)"),
        (Input(FLOAT32, (1, 4, 4)), np.zeros((2, 4, 4)), None, r"got \(2, 4, 4\)"),
        (FLOATS, {"a": np.zeros((1, 4, 4)), "b": np.zeros((1, 4, 4))}, None, "one tensor, got 2: a, b"),
        (FLOATS, [["a"]], None, "arrays of numbers"),
        (FLOATS, [[1.0], [1.0, 2.0]], None, "inhomogeneous"),
    ],
)
def test_what_is_no_image_of_the_models_gets_a_sentence(
    takes: Input, data: Any, encoding: str | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        takes.take(data, encoding)


@given(AS_BYTES)
def test_quantized_input_is_the_nearest_integer_of_its_scale(images: np.ndarray) -> None:
    takes = Input(np.dtype(np.int8), (-1, 4, 4), scale=1 / 255, zero=-128)
    expected = (images.astype(np.int16) - 128).astype(np.int8)
    same(takes.take(images), expected)
    same(takes.take(images.astype(np.float32) / np.float32(255)), expected)
    same(takes.take(expected), expected)
    same(takes.take(expected.tolist()), expected)


@given(AS_BYTES | AS_FLOATS, st.sampled_from([np.int8, np.uint8]), st.floats(2**-10, 2, width=32), st.integers(0, 127))
def test_integers_that_stand_for_pixels_are_what_the_runtime_feeds(
    images: np.ndarray, dtype: Any, scale: float, zero: int
) -> None:
    """Bytes are pixels even where the file takes bytes that mean something else."""
    takes = Input(np.dtype(dtype), (-1, 4, 4), scale, zero)
    runtime = Predictor(lambda fed: fed, quantization=Quantization(np.dtype(dtype), scale, zero))
    same(takes.take(images), runtime.feed(images))
    same(takes.take(json.loads(json.dumps(images.tolist())), images.dtype.name), runtime.feed(images))


@given(AS_BYTES | AS_FLOATS, st.sampled_from([FLOAT32, UINT8]))
def test_grey_images_may_have_their_one_channel_or_not(images: np.ndarray, dtype: Any) -> None:
    without, beside = Input(np.dtype(dtype), (-1, 4, 4)), Input(np.dtype(dtype), (-1, 4, 4, 1))
    for data in images, images[..., np.newaxis]:
        same(without.take(data), fed(without, images))
        same(beside.take(data), fed(beside, images)[..., np.newaxis])


def test_a_file_that_does_not_say_its_shape_takes_any() -> None:
    same(Input(FLOAT32, ()).take(np.zeros((2, 3, 5))), np.zeros((2, 3, 5), np.float32))
    same(Input(FLOAT32, (-1, -1, -1)).take(np.zeros((2, 3, 5))), np.zeros((2, 3, 5), np.float32))


def test_outputs_that_are_not_finite_are_counted_and_refused() -> None:
    """Of a model that divides by its own pixels."""
    model = ImageModel(FLOATS, lambda images: 1 / images.reshape(len(images), 16))
    images = 1 - np.random.default_rng(0).random((5, 4, 4), np.float32)
    assert model.predict(images).shape == (5, 16)
    assert model.predict(images[:0]).shape == (0, 16)
    images[1, 2, 3], images[4] = 0, 0
    sentence = "The model gives values that are NaN or infinite for 2 of 5 images"
    with np.errstate(divide="ignore"), pytest.raises(MlflowException, match=sentence):
        model.predict(images)


@st.composite
def steps(draw: st.DrawFn) -> InputEncoding:
    mean, std = (draw(st.lists(each, max_size=1)) for each in (st.floats(-2, 2, width=32), st.floats(0.5, 2, width=32)))
    layout = draw(st.sampled_from(get_args(Layout)))
    return InputEncoding(scale=draw(st.sampled_from([255, 1, 100])), mean=mean, std=std, layout=layout)


@given(AS_BYTES | AS_FLOATS, steps(), st.sampled_from([(0.0, 0), (0.0123, 5)]))
def test_a_declared_encoding_is_what_the_runtime_applies(
    images: np.ndarray, encoding: InputEncoding, integers: tuple[float, int]
) -> None:
    """With its channels first, a model of images of 4 by 4 has another shape, and callers give the same images."""
    scale, zero = integers
    quantization = Quantization(np.dtype(np.int8), scale, zero) if scale else None
    runtime = Predictor(lambda fed: fed, encoding, quantization)
    declares = Steps.of(told(encoding))
    shape = (-1, *runtime.feed(images).shape[1:])
    takes = Input(np.dtype(np.int8 if scale else np.float32), declares.stored(shape), scale, zero, declares)
    assert takes.shape[1:] == images.shape[1:]
    same(takes.take(images), runtime.feed(images))
    same(takes.take(images.reshape(len(images), 16), images.dtype.name), runtime.feed(images))
