"""A folder of images as a user meets it: read whole, or refused in one sentence."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from octavo.data import partition, prepare
from octavo.data.sources import image_file, image_files, image_folder
from octavo.project.errors import DataError
from octavo.project.params.data import IMAGE_SUFFIXES, Data


def paint(path: Path, value: Any = 0, size: tuple[int, int] = (6, 4), mode: str = "L", **save: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **save)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for number in range(3):
        paint(root / "dog" / f"{number}.png", 100 + number)
        paint(root / "cat" / f"{number}.BMP", number)
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / "cat" / "Thumbs.db").write_text("not an image")
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
    assert raw.files
    assert raw.files.changed == {}
    assert raw.files.left_out == {".txt": ("cat/notes.txt",)}
    assert raw.files.train[3] == "dog/0.png"


def test_what_is_left_out_is_named_by_kind(pets: Path) -> None:
    for name in ("b.HEIC", "a.heic", "photo"):
        (pets / "dog" / name).write_bytes(b"not opened")
    (pets / "labels.csv").write_text("not opened")
    paint(pets / "alone.png")

    files = image_folder.read(pets).files
    assert files
    assert files.left_out == {
        ".heic": ("dog/a.heic", "dog/b.HEIC"),
        ".txt": ("cat/notes.txt",),
        "outside the class folders": ("alone.png", "labels.csv"),
        "without a suffix": ("dog/photo",),
    }


def test_a_class_of_other_files_is_refused_with_their_names(pets: Path) -> None:
    (pets / "eel").mkdir()
    for number in range(5):
        (pets / "eel" / f"{number}.heic").write_bytes(b"not opened")

    with pytest.raises(DataError, match=r"eel has the suffix .*: 0\.heic, 1\.heic, 2\.heic and 2 more\. Save .* \.png"):
        image_folder.read(pets)


def test_every_suffix_of_an_image_is_read_in_capitals_too(tmp_path: Path) -> None:
    for number, suffix in enumerate(IMAGE_SUFFIXES):
        paint(tmp_path / "a" / f"{number}{suffix}", format="PNG")
        paint(tmp_path / "a" / f"{number}-{suffix.upper()}", format="PNG")

    assert len(image_folder.read(tmp_path).train[0]) == 2 * len(IMAGE_SUFFIXES)


def test_what_was_changed_is_counted(pets: Path) -> None:
    paint(pets / "dog" / "9.jpg", (1, 2, 3, 4), mode="CMYK")
    paint(
        pets / "dog" / "8.jpg",
        (9, 9, 9),
        mode="RGB",
        format="MPO",
        save_all=True,
        append_images=[Image.new("RGB", (2, 2))],
    )

    files = image_folder.read(pets).files
    assert files
    assert files.changed == {image_file.CMYK: 1, image_file.FIRST_FRAME: 1, image_files.TO_RGB: 6}


def test_all_files_that_are_refused_are_told_at_once(pets: Path) -> None:
    for number in range(3, 9):
        paint(pets / "dog" / f"{number}.png", mode="I;16")

    with pytest.raises(DataError, match=r"dog/3\.png has more .* 5 more .*: .*4\.png, .*5\.png, .*6\.png and 2 more\."):
        image_folder.read(pets)


def test_a_folder_whose_name_is_not_utf_8_can_be_a_class(pets: Path, tmp_path: Path) -> None:
    latin = Path(os.fsdecode(os.fsencode(pets) + b"/caf\xe9"))
    try:
        paint(latin / "0.png", 9)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 alone")
    for number in range(40):
        for place, animal in enumerate((pets / "cat", pets / "dog", latin)):
            paint(animal / f"more{number}.png", 110 + 3 * number + place, (9, 9))
    (latin / "old.xcf").write_bytes(b"")

    manifest = prepare.prepare(Data(source="images", path=pets, image_size=(4, 4), calibration=10), tmp_path / "data")
    assert manifest.classes == ["caf\\udce9", "cat", "dog"]
    assert manifest.left_out[".xcf"].names == ("caf\\udce9/old.xcf",)


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
        prepare.check(image_folder.read(tmp_path / "both"))


def test_a_folder_becomes_splits(tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number:02}.png", number)
    data = Data(source="images", path=tmp_path / "pets", calibration=10, selection=0.25)
    manifest = prepare.prepare(data, tmp_path / "data")

    counts = {name: record.counts for name, record in manifest.splits.items()}
    for animal in ("cat", "dog"):
        assert sum(counts[name][animal] for name in partition.DISJOINT) == 20
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
        prepare.check(image_folder.read(pets))


def as_nobody(call: Callable[[], Any]) -> str:
    """What `call` raised, in a process of a user who owns nothing: root may read everything."""
    source, target = os.pipe()
    child = os.fork()
    if not child:
        try:
            if not os.getuid():
                os.setuid(65534)
            call()
        except BaseException as error:  # noqa: BLE001 # told to the parent
            os.write(target, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(target)
    os.waitpid(child, 0)
    with os.fdopen(source, "rb") as told:
        return told.read().decode()


def test_a_folder_that_cannot_be_read_is_one_sentence(pets: Path) -> None:
    for folder in (pets, *list(pets.parents)[:-2]):
        folder.chmod(0o755)
    first = min(path for path in pets.iterdir() if path.is_dir() and path.name[0] != ".")
    first.chmod(0)
    said = as_nobody(lambda: image_folder.read(pets))
    assert said.startswith(f"DataError: {first} cannot be read: Permission denied")

    first.chmod(0o755)
    image = first / "0.BMP"
    image.chmod(0)
    assert as_nobody(lambda: image_folder.read(pets)).startswith(
        f"DataError: {image} cannot be read: Permission denied"
    )


def test_a_folder_whose_name_is_too_long_is_one_sentence() -> None:
    with pytest.raises(DataError, match="File name too long"):
        image_folder.read(Path("pets" * 2000))


def test_two_folders_of_one_printed_name_are_refused(pets: Path) -> None:
    for name in (os.fsdecode(b"\xff"), "\\udcff"):
        (pets / name).mkdir()
        shutil.copy(next(pets.rglob("*.png")), pets / name)
    with pytest.raises(DataError, match=r"2 class folders are called \\udcff"):
        image_folder.read(pets)


def test_a_link_to_itself_is_one_sentence(pets: Path) -> None:
    first = min(path for path in pets.iterdir() if path.is_dir() and path.name[0] != ".")
    (first / "loop.png").symlink_to("loop.png")
    with pytest.raises(DataError, match=r"loop\.png cannot be read: Too many levels of symbolic links"):
        image_folder.read(pets)


def test_names_in_messages_steer_no_terminal(pets: Path) -> None:
    first = min(path for path in pets.iterdir() if path.is_dir() and path.name[0] != ".")
    (first / "\x1b[2J\udcff.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"\\x1b\[2J\\udcff\.png cannot be read"):
        image_folder.read(pets)
