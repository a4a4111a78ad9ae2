"""Images that came since the data were last prepared."""

from pathlib import Path

import numpy as np
import pytest

from octavo.data import newcomers, prepare
from octavo.project.params.data import Data

N = 300


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "own.npz"


def prepared(archive: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    test = np.random.default_rng(1).integers(0, 256, (30, 4, 4), np.uint8)
    np.savez(archive, x_train=images, y_train=labels, x_test=test, y_test=np.arange(30) % 3)
    prepare.prepare(Data(source="npz", path=archive, calibration=20, duplicates="allow"), archive.parent / "data")
    return archive.parent / "data"


def test_what_came_is_counted_and_named_and_what_stayed_is_not(archive: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, 4, 4), np.uint8)
    labels = np.arange(N) % 3
    target = archive.parent / "data"
    assert newcomers.pixels_of(target) is None
    prepared(archive, images[:200], labels[:200])
    before = newcomers.pixels_of(target)
    assert newcomers.since(before, target) is None
    prepared(archive, np.roll(images, 100, 0), np.roll(labels, 100, 0))
    came = newcomers.since(before, target)
    assert came
    assert (came.n, came.first) == (100, ("x_train[0]", "x_train[1]", "x_train[2]"))
    assert str(came) == "New are x_train[0], x_train[1], x_train[2] and 97 more."
    assert newcomers.since(None, target) is None


def test_data_of_an_earlier_release_have_no_names(archive: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, 4, 4), np.uint8)
    target = prepared(archive, images, np.arange(N) % 3)
    for names in target.glob("*/names.json"):
        names.unlink()
    assert newcomers.since(set(), target) is None


def test_images_under_two_labels_are_counted(archive: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (N, 4, 4), np.uint8)
    labels = np.arange(N) % 3
    images[50:53], labels[50:53] = images[60], [0, 1, 1]
    assert labels[60] == 0
    images[70:72], labels[70:72] = images[80], labels[80]
    np.savez(archive, x_train=images[30:], y_train=labels[30:], x_test=images[:30], y_test=labels[:30])
    data = Data(source="npz", path=archive, calibration=20, duplicates="allow")
    assert prepare.prepare(data, archive.parent / "data").duplicates.two_labels == 4
