"""What later stages meet: pixels as a network takes them, and the next step where there is nothing to read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import dataset
from pipeline.errors import DataError
from pipeline.params import Data
from pipeline.splits import load_manifest, load_split, pixels


def test_pixels_scale_bytes_to_one() -> None:
    fed = pixels(np.array([[[0, 51, 255]]], dtype=np.uint8))

    assert fed.dtype == np.float32
    np.testing.assert_array_equal(fed, np.array([[[0, 0.2, 1]]], dtype=np.float32))


def test_reading_before_prepare_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No .*images\.npy\. Run dvc repro prepare"):
        load_split(tmp_path)
    with pytest.raises(DataError, match=r"No .*manifest\.json\. Run dvc repro prepare"):
        load_manifest(tmp_path / "manifest.json")


def test_a_manifest_from_before_pixels_were_measured_is_read(tmp_path: Path) -> None:
    manifest = dataset.prepare(Data(source="digits"), tmp_path)
    older = manifest.model_dump_json(exclude={"pixel_range": True, "own_test": True, "splits": {"__all__": {"pixels"}}})
    (tmp_path / "manifest.json").write_text(older)

    read = load_manifest(tmp_path / "manifest.json")
    assert (read.digest, read.pixel_range) == (manifest.digest, None)
    assert all(record.pixels is None for record in read.splits.values())


def test_a_manifest_from_before_rules_were_numbered_is_of_the_first(tmp_path: Path) -> None:
    manifest = dataset.prepare(Data(source="digits"), tmp_path)
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
    dataset.prepare(Data(source="digits"), tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "test" / "images.npy").write_bytes(b"\x93NUMPY")

    with pytest.raises(DataError, match="--force prepare"):
        load_split(tmp_path / "test")
    with pytest.raises(DataError, match="--force prepare"):
        load_manifest(tmp_path / "manifest.json")
