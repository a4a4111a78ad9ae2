"""A published set as a user meets it: found, downloaded once, known by its digests, or refused in one sentence."""

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest

from octavo.data import prepare
from octavo.data.sources import published
from octavo.data.sources.raw import sha256
from octavo.project.errors import DataError, ServiceUnavailable
from octavo.project.params.data import Data

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


def blank_mnist(folder: Path) -> published.Published:
    """A stand-in of MNIST's shape, all zeros, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in published.SHAPES.items()}
    np.savez_compressed(folder / "mnist.npz", allow_pickle=False, **arrays)
    archive = hashlib.sha256((folder / "mnist.npz").read_bytes()).hexdigest()
    digests = {name: sha256(array) for name, array in arrays.items()}
    return replace(
        published.MNIST, url="http://127.0.0.1:9/", archives={"mnist.npz": f"sha256:{archive}"}, sha256=digests
    )


@needs_mnist
def test_real_mnist_is_known_by_its_arrays(tmp_path: Path) -> None:
    manifest = prepare.prepare(Data(source="mnist"), tmp_path)

    assert {name: record.n for name, record in manifest.splits.items()} == {
        "train": 53_817, "calibration": 500, "selection": 6_183, "test": 10_000,
    }  # fmt: skip
    assert manifest.splits["test"].images_sha256 == published.MNIST.sha256["x_test"]


@pytest.mark.parametrize("place", ["OCTAVO_DATA", "OCTAVO_DATA below DVC_ROOT", "cache"])
def test_mnist_is_found_where_it_lies(place: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache if place == "cache" else tmp_path / "own"
    monkeypatch.setattr(published, "MNIST", blank_mnist(folder))
    if place == "OCTAVO_DATA":
        monkeypatch.setenv("OCTAVO_DATA", str(folder))
    if place == "OCTAVO_DATA below DVC_ROOT":
        monkeypatch.setenv("OCTAVO_DATA", "own")
        monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    assert published.mnist().train[0].shape == (60_000, 28, 28)


def test_mnist_of_other_content_is_refused(cache: Path) -> None:
    blank_mnist(cache)

    with pytest.raises(DataError, match=r"x_train in .*mnist\.npz .* is not that of MNIST .*Remove"):
        published.mnist()


def test_mnist_cut_short_is_refused(cache: Path) -> None:
    blank_mnist(cache)
    (cache / "mnist.npz").write_bytes((cache / "mnist.npz").read_bytes()[:-100])

    with pytest.raises(DataError, match=r"mnist\.npz is cut short .* Remove .* downloaded again"):
        published.mnist()


def test_download_goes_into_the_cache_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = blank_mnist(tmp_path / "server")
    with served(tmp_path / "server") as url:
        monkeypatch.setattr(published, "MNIST", replace(stand_in, url=url))
        published.mnist()

    assert published.mnist().test is not None
    assert (cache / "mnist.npz").read_bytes() == (tmp_path / "server" / "mnist.npz").read_bytes()


def test_download_of_something_else_is_refused_and_not_kept(cache: Path, tmp_path: Path) -> None:
    blank_mnist(tmp_path / "server")
    with served(tmp_path / "server") as url, pytest.raises(DataError, match="is not the file published as MNIST"):
        published.locate(replace(published.MNIST, url=url))

    assert not (cache / "mnist.npz").exists()


@pytest.mark.parametrize("wanted", [published.MNIST, published.FASHION_MNIST], ids=lambda wanted: wanted.title)
@pytest.mark.usefixtures("cache")
def test_without_network_the_way_out_is_named(wanted: published.Published) -> None:
    with pytest.raises(ServiceUnavailable, match=r"is unavailable \(ConnectionError\)\. Try again, or set OCTAVO_DATA"):
        published.locate(replace(wanted, url="http://127.0.0.1:9/"))


@pytest.fixture
def blank_fashion(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archives = {}
    for name, shape in zip(published.FASHION_MNIST.archives, published.SHAPES.values(), strict=True):
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
        path.write_bytes(gzip.compress(header + bytes([len(shape)]) * int(np.prod(shape)), compresslevel=1))
        archives[name] = "md5:" + hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(published, "FASHION_MNIST", replace(published.FASHION_MNIST, archives=archives))
    return cache / "fashion_mnist"


@pytest.mark.usefixtures("blank_fashion")
def test_fashion_mnist_is_read_behind_its_header() -> None:
    raw = published.fashion_mnist()

    assert raw.test is not None
    for (images, labels), n in ((raw.train, 60_000), (raw.test, 10_000)):
        assert (images.shape, labels.shape) == ((n, 28, 28), (n,))
        assert (set(np.unique(images)), set(np.unique(labels))) == ({3}, {1})


def test_fashion_mnist_of_other_content_is_refused(blank_fashion: Path) -> None:
    (blank_fashion / "t10k-labels-idx1-ubyte.gz").write_bytes(b"changed")

    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is not the archive"):
        published.fashion_mnist()
