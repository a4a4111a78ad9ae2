"""A folder of arrays is read as it is, and never into memory."""

from pathlib import Path

import numpy as np
import pytest

from octavo.data import prepare, sources
from octavo.project.errors import DataError
from octavo.project.params.data import Data

RANDOM = np.random.default_rng(0)
LABELS = np.arange(60) % 3


def write(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize(
    "shape", [(16,), (50, 2), (8, 8, 3), (4, 5, 6, 1)], ids=["vectors", "signals", "images", "volumes"]
)
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "uint8", "float16"])
def test_examples_of_any_shape_and_range_are_prepared(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    examples = (RANDOM.normal(size=(60, *shape)) * 20 + 100).astype(dtype)
    folder = write(tmp_path / "data", images=np.asfortranarray(examples), labels=LABELS)
    manifest = prepare.prepare(Data(source="npy", path=folder, calibration=10), tmp_path / "made")
    assert (manifest.image_shape, manifest.dtype) == (shape, "uint8" if dtype == "uint8" else "float32")
    np.savez(tmp_path / "data.npz", images=examples, labels=LABELS)
    same = prepare.prepare(Data(source="npz", path=tmp_path / "data.npz", calibration=10), tmp_path / "npz")
    assert same.digest == manifest.digest


def test_a_test_split_of_its_own_is_kept(tmp_path: Path) -> None:
    examples = RANDOM.integers(0, 256, (90, 6, 6), np.uint8)
    parts = {"x_train": examples[:60], "y_train": LABELS, "x_test": examples[60:], "y_test": LABELS[:30]}
    for source, path in (("npy", write(tmp_path / "data", **parts)), ("npz", tmp_path / "data.npz")):
        np.savez(tmp_path / "data.npz", allow_pickle=False, **parts)
        raw = sources.load(Data.model_validate({"source": source, "path": path}))
        assert raw.test is not None
        np.testing.assert_array_equal(raw.test[0], examples[60:])


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, r"has no x_train, y_train, x_test, y_test \(it has nothing\)\. Save x_train\.npy"),
        ({"x_train": LABELS, "y_train": LABELS, "x_test": LABELS}, "has no y_test"),
        ({"images": LABELS}, r"it has images"),
        ({"images": np.array([{}]), "labels": LABELS}, r"images\.npy: it holds Python objects"),
        ({"images": np.zeros((60, 2), np.int16), "labels": LABELS}, "Images of train are int16. Give uint8"),
        ({"images": np.zeros((60, 2), np.float32), "labels": LABELS[:7]}, r"Labels of train have shape \(7,\) for 60"),
        ({"images": np.full((60, 2), np.nan), "labels": LABELS}, "120 pixels of train are NaN"),
        ({"images": np.zeros(60, np.float32), "labels": LABELS}, r"signals as \(N, T, C\), vectors as \(N, D\)"),
    ],
)
def test_what_cannot_be_used_gets_a_sentence(arrays: dict[str, np.ndarray], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=sentence):
        prepare.prepare(Data(source="npy", path=write(tmp_path / "data", **arrays)), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No folder .*none\. data\.path is a folder with"):
        sources.load(Data(source="npy", path=tmp_path / "none"))


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", images=np.zeros((60, 8), np.uint8), labels=LABELS)
    (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-5])
    with pytest.raises(DataError, match=r"images\.npy: it has 603 bytes and declares 608"):
        sources.load(Data(source="npy", path=folder))
