"""A folder of images as a user meets it: read whole, or refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import dataset
from pipeline.errors import DataError
from pipeline.params import Data
from pipeline.sources import image_folder


def paint(path: Path, value: int = 0, size: tuple[int, int] = (6, 4), mode: str = "L", **save: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **save)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for number in range(3):
        paint(root / "dog" / f"{number}.png", 100 + number)
        paint(root / "cat" / f"{number}.BMP", number)
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / "cat" / ".hidden.png").write_text("not an image")
    paint(root / ".cache" / "0.png")
    return root


def test_a_folder_of_grey_images_comes_back_as_painted(pets: Path) -> None:
    raw = image_folder.read(pets)
    images, labels = raw.train

    assert (raw.classes, raw.test) == (("cat", "dog"), None)
    assert (images.shape, str(images.dtype)) == ((6, 4, 6), "uint8")
    assert images[:, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_one_image_in_colour_makes_all_rgb(pets: Path) -> None:
    paint(pets / "dog" / "9.png", 0x0000FF, mode="RGB")
    images, _ = image_folder.read(pets).train

    assert images.shape == (7, 4, 6, 3)
    assert images[[0, 5, 6], 0, 0].tolist() == [[0, 0, 0], [102, 102, 102], [255, 0, 0]]


def test_images_are_resized_to_height_and_width(pets: Path) -> None:
    paint(pets / "dog" / "9.png", size=(20, 20))

    assert image_folder.read(pets, (8, 5)).train[0].shape == (7, 8, 5)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    paint(tmp_path / "a" / "0.jpg", exif=turned)

    assert image_folder.read(tmp_path).train[0].shape == (1, 6, 4)


def test_own_train_and_test_folders_are_kept(pets: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        paint(tmp_path / "both" / "test" / name / "0.png", 200)
    pets.rename(tmp_path / "both" / "train")
    raw = image_folder.read(tmp_path / "both")

    assert raw.classes == ("cat", "dog")
    assert raw.train[0].shape == (6, 4, 6)
    assert raw.test is not None
    assert raw.test[1].tolist() == [0, 1]


def test_a_class_of_test_alone_is_an_empty_class(pets: Path, tmp_path: Path) -> None:
    paint(tmp_path / "both" / "test" / "eel" / "0.png")
    pets.rename(tmp_path / "both" / "train")

    with pytest.raises(DataError, match="Class 'eel' has no image in train"):
        dataset.check(image_folder.read(tmp_path / "both"))


def test_a_folder_becomes_splits(tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number:02}.png", number)
    data = Data(source="images", path=tmp_path / "pets", calibration=10, selection=0.25)
    manifest = dataset.prepare(data, tmp_path / "data")

    counts = {name: record.counts for name, record in manifest.splits.items()}
    for animal in ("cat", "dog"):
        assert sum(counts[name][animal] for name in dataset.DISJOINT) == 20
        assert min(part[animal] for part in counts.values()) > 0
        assert abs(counts["calibration"][animal] - 10 * counts["train"][animal] / manifest.splits["train"].n) < 1


def truncate(root: Path) -> None:
    paint(root / "dog" / "0.png", size=(60, 40))
    content = (root / "dog" / "0.png").read_bytes()
    (root / "dog" / "0.png").write_bytes(content[: len(content) // 2])


def link_outside(root: Path) -> None:
    paint(root.parent / "elsewhere.png")
    (root / "dog" / "9.png").symlink_to(root.parent / "elsewhere.png")


def add_validation(root: Path) -> None:
    for name in ("train", "test", "val"):
        paint(root / name / "cat" / "0.png")


BAD_FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda root: root.rename(root.parent / "moved"), "No images in"),
    "truncated": (truncate, r"dog/0\.png cannot be read as an image"),
    "not an image": (lambda root: (root / "cat" / "0.jpg").write_text("hello"), r"cat/0\.jpg cannot be read"),
    "other size": (
        lambda root: paint(root / "dog" / "9.png", size=(7, 4)),
        r"9\.png has 4x7 .* has 4x6\. .*image_size",
    ),
    "16 bits": (lambda root: paint(root / "dog" / "9.png", mode="I;16"), "more than 8 bits"),
    "link outside": (link_outside, r"dog/9\.png leads outside"),
    "link into nowhere": (
        lambda root: (root / "dog" / "9.png").symlink_to(root / "gone.png"),
        r"9\.png cannot be read",
    ),
    "nested folder": (lambda root: paint(root / "dog" / "old" / "0.png"), "is a folder inside a class folder"),
    "folders beside train and test": (add_validation, "holds cat, dog, val beside train/ and test/"),
}


@pytest.mark.parametrize(("spoil", "sentence"), BAD_FOLDERS.values(), ids=BAD_FOLDERS.keys())
def test_a_bad_folder_is_one_sentence(spoil: Callable[[Path], Any], sentence: str, pets: Path) -> None:
    spoil(pets)

    with pytest.raises(DataError, match=sentence) as failure:
        image_folder.read(pets)

    assert "\n" not in str(failure.value)


def test_an_empty_class_folder_is_an_empty_class(pets: Path) -> None:
    (pets / "eel").mkdir()

    with pytest.raises(DataError, match="Class 'eel' has no image in train"):
        dataset.check(image_folder.read(pets))
