"""Stored images become what a network takes: as ever by default, and by what an encoding says."""

import hashlib
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from octavo.data.input_encoding import BYTES, IMAGES, check, declared, encode, fitted, told
from octavo.data.splits import Manifest, SplitRecord, load_manifest
from octavo.project.errors import DataError
from octavo.project.params.encoding import InputEncoding, Layout
from octavo.project.params.section import faults

SHAPES = arrays.array_shapes(min_dims=3, max_dims=4, max_side=5)
EVERY = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
DIGEST = "010413efe9fc4438fee48de66c4d09f377b28af6a9fe2522201e8c1dbb831fc8"


@given(arrays.arrays(np.uint8, SHAPES))
def test_bytes_are_divided_by_255_in_float32(images: np.ndarray) -> None:
    got = encode(images)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.divide(images, np.float32(255), dtype=np.float32))


@given(arrays.arrays(np.float32, SHAPES))
def test_floats_are_taken_as_they_are(images: np.ndarray) -> None:
    assert encode(images) is images


def test_no_bit_of_any_byte_has_changed() -> None:
    """The digest of what all 256 bytes became before encodings had a record."""
    assert hashlib.sha256(encode(EVERY).tobytes()).hexdigest() == DIGEST
    np.testing.assert_array_equal(encode(encode(EVERY), BYTES), EVERY)
    assert encode(EVERY, BYTES) is EVERY


@given(
    arrays.arrays(np.uint8, arrays.array_shapes(min_dims=4, max_dims=4, min_side=3, max_side=3)),
    st.tuples(*[st.floats(-1, 1, width=32)] * 3),
    st.tuples(*[st.floats(0.125, 2, width=32)] * 3),
)
def test_channels_have_means_deviations_and_a_place(
    images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    got = encode(images, InputEncoding(scale=127.5, mean=mean, std=std, layout="channels_first"))
    assert got.dtype == np.float32
    for channel in range(3):
        wanted = (images[..., channel] / 127.5 - mean[channel]) / std[channel]
        np.testing.assert_allclose(got[:, channel], wanted, atol=1e-4)


def test_integers_have_no_mean() -> None:
    with pytest.raises(ValidationError, match="dtype 'uint8' allows no mean and no std"):
        InputEncoding(dtype="uint8", mean=(0.5,))


def manifest(**fields: object) -> str:
    split = SplitRecord(n=1, counts={"a": 1}, images_sha256="", labels_sha256="")
    made = Manifest.model_validate(
        {
            "source": "npz",
            "seed": 0,
            "image_shape": (4, 4),
            "dtype": "uint8",
            "classes": ["a", "b"],
            "splits": {"train": split},
            "duplicates": {"within": {}, "across": {}},
            "digest": "d",
            **fields,
        }
    )
    return made.model_dump_json(exclude=None if fields else {"encoding"})


def test_a_manifest_records_the_encoding_and_one_that_does_not_has_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(manifest(), encoding="utf-8")
    assert "encoding" not in path.read_text(encoding="utf-8")
    assert load_manifest(path).encoding == IMAGES
    path.write_text(manifest(encoding={}), encoding="utf-8")
    assert '"scale":255.0' in path.read_text(encoding="utf-8")
    assert load_manifest(path).encoding == IMAGES


def test_a_manifest_declares_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(manifest(encoding={"scale": 127.5}), encoding="utf-8")
    assert load_manifest(path).encoding == InputEncoding(scale=127.5)


ENCODINGS = (
    (
        {"mean": [0.1, 0.2]},
        (8, 8, 3),
        "uint8",
        r"data\.encoding\.mean has 2 values, .* Give .* or 3, one for",
    ),
    ({"std": [1, 1, 1]}, (8, 8), "uint8", r"data\.encoding\.std has 3 values"),
    ({"scale": 10}, (8, 8), "float32", r"data\.encoding\.scale divides uint8 examples, and these are float32"),
    ({"dtype": "uint8"}, (8, 8), "float32", "Give them as uint8"),
    ({"layout": "channels_first"}, (8,), "float32", "a single axis"),
)


@pytest.mark.parametrize(("said", "example", "dtype", "sentence"), ENCODINGS)
def test_an_encoding_that_does_not_fit_the_data_is_refused(
    said: dict[str, object], example: tuple[int, ...], dtype: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        check(InputEncoding.model_validate(said), example, np.dtype(dtype))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"std": 0}, "greater than 0, got 0"),
        ({"std": [1, -1]}, "greater than 0, got -1"),
        ({"std": [float("nan")]}, "finite number"),
        ({"scale": 0}, "greater than 0, got 0"),
        ({"scale": True}, "Input should be a number"),
        ({"scale": 1e-60}, "at least 1e-30, got 1e-60"),
        ({"mean": float("inf")}, "finite number"),
        ({"mean": [-1e39]}, "at most 1e[+]30, got -1e[+]39"),
        ({"mean": [0, 1], "std": [1, 1, 1]}, "mean has 2 values and std 3"),
        ({"mean": "a"}, "should be a list"),
        ({"layout": "NCHW"}, "'stored', 'channels_first'"),
    ],
)
def test_numbers_that_no_pixel_can_be_divided_by_are_refused(said: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        InputEncoding.model_validate(said)
    assert re.search(sentence, faults(refused.value))


@pytest.mark.parametrize(
    ("layout", "example", "network", "fits"),
    [
        ("stored", (8, 8, 3), (8, 8, 3), "stored"),
        ("channels_first", (8, 9, 3), (3, 8, 9), "channels_first"),
        ("channels_first", (8, 9, 3), (3, None, None), "channels_first"),
        ("channels_first", (50, 2), (2, 50), "channels_first"),
        ("channels_first", (8, 8), (1, 8, 8), "channel_added_first"),
        ("stored", (8, 9), (1, 8, 9), "channel_added_first"),
        ("stored", (8, 9), (8, 9, 1), "channel_added_last"),
        ("stored", (8, 9, 3), (3, 8, 9), r"Set data\.encoding\.layout to channels_first\."),
        ("channels_first", (8, 9, 3), (8, 9, 3), r"Set data\.encoding\.layout to stored\."),
        (
            "stored",
            (8, 9, 3),
            (3, 32, 32),
            r"takes examples of shape \(3, 32, 32\), .* gives it \(8, 9, 3\)\. Give data",
        ),
        ("stored", (16,), (17,), "Give data of that shape"),
    ],
)
def test_the_layout_follows_from_the_network_or_there_is_a_sentence(
    layout: Layout, example: tuple[int, ...], network: tuple[int | None, ...], fits: str
) -> None:
    if fits not in get_args(Layout):
        with pytest.raises(DataError, match=fits):
            fitted(InputEncoding(layout=layout), example, network)
        return
    found = fitted(InputEncoding(layout=layout), example, network)
    assert found.layout == fits
    shape = encode(np.zeros((2, *example), np.uint8), found).shape[1:]
    assert all(wanted in (None, size) for wanted, size in zip(network, shape, strict=True))


def test_what_a_file_is_told_is_what_it_declares() -> None:
    encoding = InputEncoding(scale=1, mean=(0.1, 2), std=(1 / 3, 1), layout="channels_first")
    assert declared(told(encoding)) == encoding
    assert told(InputEncoding()) == told(BYTES) == {}
    assert declared({}, takes_bytes=True) == BYTES


@pytest.mark.parametrize("layout", ["channel_added_first", "channel_added_last"])
def test_grey_images_have_one_channel_whatever_their_width(layout: Layout) -> None:
    with pytest.raises(
        DataError, match=r"mean has 28 values, and layout 'channel_added_\w+' is for grey images, .* one"
    ):
        check(InputEncoding(mean=(0.5,) * 28, layout=layout), (28, 28), np.dtype(np.uint8))
    with pytest.raises(DataError, match=r"std has 3 values, .* Give one value\.$"):
        check(InputEncoding(std=(0.5,) * 3, layout=layout), (28, 28), np.dtype(np.uint8))
    check(InputEncoding(mean=(0.5,), layout=layout), (28, 28), np.dtype(np.uint8))
