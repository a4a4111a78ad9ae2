"""Stored images become what a network takes: as ever by default, and by what an encoding says."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from octavo.data.input_encoding import BYTES, IMAGES, encode
from octavo.data.splits import Manifest, SplitRecord, load_manifest
from octavo.project.params.encoding import InputEncoding

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
