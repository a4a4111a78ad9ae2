"""What later stages meet: pixels as a network takes them, and the next step where there is nothing to read."""

import io
import os
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.data import prepare
from octavo.data.input_encoding import encode
from octavo.data.splits import load_manifest, load_split
from octavo.project import errors
from octavo.project.errors import DataError
from octavo.project.files import npy_file
from octavo.project.params.data import Data


def declared(descr: str, shape: tuple[int, ...]) -> bytes:
    """The header of an npy file."""
    body = str({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body


def zipped() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.zeros(3))
    return out.getvalue()


def test_pixels_scale_bytes_to_one() -> None:
    fed = encode(np.array([[[0, 51, 255]]], dtype=np.uint8))

    assert fed.dtype == np.float32
    np.testing.assert_array_equal(fed, np.array([[[0, 0.2, 1]]], dtype=np.float32))


def test_reading_before_prepare_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No .*images\.npy\. Run dvc repro prepare"):
        load_split(tmp_path)
    with pytest.raises(DataError, match=r"No .*manifest\.json\. Run dvc repro prepare"):
        load_manifest(tmp_path / "manifest.json")


def test_a_manifest_from_before_pixels_were_measured_is_read(tmp_path: Path) -> None:
    manifest = prepare.prepare(Data(source="digits"), tmp_path)
    older = manifest.model_dump_json(exclude={"pixel_range": True, "own_test": True, "splits": {"__all__": {"pixels"}}})
    (tmp_path / "manifest.json").write_text(older)

    read = load_manifest(tmp_path / "manifest.json")
    assert (read.digest, read.pixel_range) == (manifest.digest, None)
    assert all(record.pixels is None for record in read.splits.values())


def test_a_manifest_from_before_rules_were_numbered_is_of_the_first(tmp_path: Path) -> None:
    manifest = prepare.prepare(Data(source="digits"), tmp_path)
    later: dict[str, Any] = {
        "split_rule": True,
        "test_share": True,
        "left_out": True,
        "changed": True,
        "duplicates": {"dropped"},
    }
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json(exclude=later))

    read = load_manifest(tmp_path / "manifest.json")
    assert (read.digest, read.split_rule, read.test_share) == (manifest.digest, 1, None)
    assert (read.left_out, read.changed, read.duplicates.dropped) == ({}, {}, {})


def test_reading_damaged_outputs_names_the_next_step(tmp_path: Path) -> None:
    prepare.prepare(Data(source="digits"), tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "test" / "images.npy").write_bytes(b"\x93NUMPY")

    with pytest.raises(DataError, match="--force prepare"):
        load_split(tmp_path / "test")
    with pytest.raises(DataError, match="--force prepare"):
        load_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "NumPy's format"),
        (b"\x93NUMPY\x01\x00v\x00" + b"(" * 117 + b"\n", "header is damaged"),
        (declared("|u1", (10**15, 28, 28)), "has 128 bytes and declares 784,000,000,000,000,128"),
        (declared("|u1", (2**62, 2**62)), "declares"),
        (declared("|O", (3,)) + pickle.dumps([1, 2, 3]), "Python objects"),
        (pickle.dumps(np.zeros(3)), "NumPy's format"),
        (zipped(), "NumPy's format"),
        (declared("<i8", ()) + bytes(8), "damaged"),
    ],
)
def test_a_split_that_is_none_is_one_sentence(content: bytes, why: str, tmp_path: Path) -> None:
    prepare.prepare(Data(source="digits"), tmp_path)
    for name in ("images.npy", "labels.npy"):
        other = tmp_path / name
        shutil.copytree(tmp_path / "test", other.with_suffix(""))
        (other.with_suffix("") / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{why}.*--force prepare"):
            load_split(other.with_suffix(""))


def test_a_pipe_in_an_arrays_place_is_no_reason_to_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "images.npy")
    with pytest.raises(DataError, match="not a regular file"):
        load_split(tmp_path)


def test_labels_that_do_not_fit_their_images_are_damage(tmp_path: Path) -> None:
    prepare.prepare(Data(source="digits"), tmp_path)
    np.save(tmp_path / "test" / "labels.npy", np.zeros(3, np.int64))
    with pytest.raises(DataError, match=r"labels int64 \(3,\).*--force prepare"):
        load_split(tmp_path / "test")


def test_a_full_disk_is_told_as_such() -> None:
    """`np.save` raises an error that does not say why."""
    with pytest.raises(OSError, match="No space left") as raised:
        npy_file.write(Path("/dev/full"), np.zeros((100, 28, 28), np.uint8))
    assert raised.value.errno in errors.NO_ROOM


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3), np.zeros((0, 4, 4), np.uint8), np.float32(1).reshape(1)])
def test_arrays_are_written_as_numpy_does(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "numpy.npy", array)
    npy_file.write(tmp_path / "own.npy", array)
    assert (tmp_path / "own.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    np.testing.assert_array_equal(npy_file.mapped(tmp_path / "own.npy"), array)
