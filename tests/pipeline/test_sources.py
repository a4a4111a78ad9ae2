"""Each source as a user meets it: found, read whole, or refused in one sentence."""

import gzip
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
from PIL import Image

from pipeline import dataset, sources
from pipeline.errors import DataError, ServiceUnavailable
from pipeline.params import Data

OCTAVO_DATA = Path(os.environ.get("OCTAVO_DATA", ""))
needs_mnist = pytest.mark.skipif(
    not (OCTAVO_DATA / "mnist.npz").is_file(), reason="set OCTAVO_DATA to a folder with mnist.npz"
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no folder of one's own."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda _: folder)
    monkeypatch.delenv("OCTAVO_DATA", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def blank_mnist(folder: Path) -> sources.Published:
    """A stand-in of MNIST's shape, all zeros, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in sources.SHAPES.items()}
    np.savez_compressed(folder / "mnist.npz", allow_pickle=False, **arrays)
    archive = hashlib.sha256((folder / "mnist.npz").read_bytes()).hexdigest()
    sha256 = {name: sources.sha256(array) for name, array in arrays.items()}
    return replace(sources.MNIST, url="http://127.0.0.1:9/", archives={"mnist.npz": f"sha256:{archive}"}, sha256=sha256)


def test_digits_are_real_and_use_the_whole_range() -> None:
    images, labels = sources.digits().train

    assert (images.shape, str(images.dtype)) == ((1797, 28, 28), "uint8")
    assert (images.min(), images.max(), len(np.unique(labels))) == (0, 255, 10)


@needs_mnist
def test_real_mnist_is_known_by_its_arrays(tmp_path: Path) -> None:
    manifest = dataset.prepare(Data(source="mnist"), tmp_path)

    assert {name: record.n for name, record in manifest.splits.items()} == {
        "train": 54_000, "calibration": 500, "selection": 6_000, "test": 10_000,
    }  # fmt: skip
    assert manifest.splits["test"].images_sha256 == sources.MNIST.sha256["x_test"]


@pytest.mark.parametrize("place", ["OCTAVO_DATA", "OCTAVO_DATA below DVC_ROOT", "cache"])
def test_mnist_is_found_where_it_lies(place: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache if place == "cache" else tmp_path / "own"
    monkeypatch.setattr(sources, "MNIST", blank_mnist(folder))
    if place == "OCTAVO_DATA":
        monkeypatch.setenv("OCTAVO_DATA", str(folder))
    if place == "OCTAVO_DATA below DVC_ROOT":
        monkeypatch.setenv("OCTAVO_DATA", "own")
        monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    assert sources.mnist().train[0].shape == (60_000, 28, 28)


def test_mnist_of_other_content_is_refused(cache: Path) -> None:
    blank_mnist(cache)

    with pytest.raises(DataError, match=r"x_train in .*mnist\.npz .* is not that of MNIST .*Remove"):
        sources.mnist()


def test_download_goes_into_the_cache_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = blank_mnist(tmp_path / "server")
    with served(tmp_path / "server") as url:
        monkeypatch.setattr(sources, "MNIST", replace(stand_in, url=url))
        sources.mnist()

    assert sources.mnist().test is not None
    assert (cache / "mnist.npz").read_bytes() == (tmp_path / "server" / "mnist.npz").read_bytes()


def test_download_of_something_else_is_refused_and_not_kept(cache: Path, tmp_path: Path) -> None:
    blank_mnist(tmp_path / "server")
    with served(tmp_path / "server") as url, pytest.raises(DataError, match="is not the file published as MNIST"):
        sources.locate(replace(sources.MNIST, url=url))

    assert not (cache / "mnist.npz").exists()


@pytest.mark.parametrize("published", [sources.MNIST, sources.FASHION_MNIST], ids=lambda published: published.title)
@pytest.mark.usefixtures("cache")
def test_without_network_the_way_out_is_named(published: sources.Published) -> None:
    with pytest.raises(ServiceUnavailable, match=r"cannot be had \(ConnectionError\)\. Try again, or set OCTAVO_DATA"):
        sources.locate(replace(published, url="http://127.0.0.1:9/"))


@pytest.fixture
def blank_fashion(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archives = {}
    for name, shape in zip(sources.FASHION_MNIST.archives, sources.SHAPES.values(), strict=True):
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
        path.write_bytes(gzip.compress(header + bytes([len(shape)]) * int(np.prod(shape)), compresslevel=1))
        archives[name] = "md5:" + hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(sources, "FASHION_MNIST", replace(sources.FASHION_MNIST, archives=archives))
    return cache / "fashion_mnist"


@pytest.mark.usefixtures("blank_fashion")
def test_fashion_mnist_is_read_behind_its_header() -> None:
    raw = sources.fashion_mnist()

    assert raw.test is not None
    for (images, labels), n in ((raw.train, 60_000), (raw.test, 10_000)):
        assert (images.shape, labels.shape) == ((n, 28, 28), (n,))
        assert (set(np.unique(images)), set(np.unique(labels))) == ({3}, {1})


def test_fashion_mnist_of_other_content_is_refused(blank_fashion: Path) -> None:
    (blank_fashion / "t10k-labels-idx1-ubyte.gz").write_bytes(b"changed")

    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is not the archive"):
        sources.fashion_mnist()


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
    raw = sources.images(pets)
    images, labels = raw.train

    assert (raw.classes, raw.test) == (("cat", "dog"), None)
    assert (images.shape, str(images.dtype)) == ((6, 4, 6), "uint8")
    assert images[:, 0, 0].tolist() == [0, 1, 2, 100, 101, 102]
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_one_image_in_colour_makes_all_rgb(pets: Path) -> None:
    paint(pets / "dog" / "9.png", 0x0000FF, mode="RGB")
    images, _ = sources.images(pets).train

    assert images.shape == (7, 4, 6, 3)
    assert images[[0, 5, 6], 0, 0].tolist() == [[0, 0, 0], [102, 102, 102], [255, 0, 0]]


def test_images_are_resized_to_height_and_width(pets: Path) -> None:
    paint(pets / "dog" / "9.png", size=(20, 20))

    assert sources.images(pets, (8, 5)).train[0].shape == (7, 8, 5)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    paint(tmp_path / "a" / "0.jpg", exif=turned)

    assert sources.images(tmp_path).train[0].shape == (1, 6, 4)


def test_own_train_and_test_folders_are_kept(pets: Path, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        paint(tmp_path / "both" / "test" / name / "0.png", 200)
    pets.rename(tmp_path / "both" / "train")
    raw = sources.images(tmp_path / "both")

    assert raw.classes == ("cat", "dog")
    assert raw.train[0].shape == (6, 4, 6)
    assert raw.test is not None
    assert raw.test[1].tolist() == [0, 1]


def test_a_class_of_test_alone_is_an_empty_class(pets: Path, tmp_path: Path) -> None:
    paint(tmp_path / "both" / "test" / "eel" / "0.png")
    pets.rename(tmp_path / "both" / "train")

    with pytest.raises(DataError, match="Class 'eel' has no image in train"):
        dataset.check(sources.images(tmp_path / "both"))


def test_a_folder_becomes_splits(tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number:02}.png", number)
    data = Data(source="images", path=tmp_path / "pets", calibration=10, selection=0.25)
    manifest = dataset.prepare(data, tmp_path / "data")

    assert {name: record.counts for name, record in manifest.splits.items()} == {
        "train": {"cat": 12, "dog": 12},
        "calibration": {"cat": 5, "dog": 5},
        "selection": {"cat": 4, "dog": 4},
        "test": {"cat": 4, "dog": 4},
    }


def test_mnist_cut_short_is_refused(cache: Path) -> None:
    blank_mnist(cache)
    (cache / "mnist.npz").write_bytes((cache / "mnist.npz").read_bytes()[:-100])

    with pytest.raises(DataError, match=r"mnist\.npz is cut short .* Remove .* downloaded anew"):
        sources.mnist()


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
        sources.images(pets)

    assert "\n" not in str(failure.value)


def test_an_empty_class_folder_is_an_empty_class(pets: Path) -> None:
    (pets / "eel").mkdir()

    with pytest.raises(DataError, match="Class 'eel' has no image in train"):
        dataset.check(sources.images(pets))
