"""Published sets: found on this machine or downloaded, and verified by their published digests."""

import gzip
import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pooch

from octavo.data.sources import npz
from octavo.data.sources.raw import Arrays, Raw, sha256, train_and_test
from octavo.project.errors import DataError, ServiceUnavailable
from octavo.project.files import atomic_write

GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A published set of 70,000 images of 28x28: where to get it and how to verify it."""

    title: str
    url: str
    classes: tuple[str, ...]
    archives: Mapping[str, str]
    """Path below `$OCTAVO_DATA` or the cache -> the file's published hash, in pooch's notation."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Array -> SHA-256 over its C-order bytes, independent of the archive."""


SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}

MNIST = Published(
    title="MNIST",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    classes=tuple("0123456789"),
    archives={"mnist.npz": "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"},
    sha256={
        "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
        "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
        "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    },
)
FASHION_MNIST = Published(
    title="Fashion-MNIST",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    classes=GARMENTS,
    archives={
        "fashion_mnist/train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "fashion_mnist/train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "fashion_mnist/t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "fashion_mnist/t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
)


def mnist() -> Raw:
    """MNIST, verified by the SHA-256 of its arrays. Raises as `sources.load`."""
    (path,) = locate(MNIST)
    arrays = _verified(MNIST, npz.arrays(path, _remedy(path)), path)
    return train_and_test(arrays, MNIST.classes, published=True)


def fashion_mnist() -> Raw:
    """Fashion-MNIST, verified by its authors' MD5 of the four archives. Raises as `sources.load`."""
    paths = locate(FASHION_MNIST)
    known = FASHION_MNIST.archives.values()
    bodies = [_unpacked(path, md5.removeprefix("md5:")) for path, md5 in zip(paths, known, strict=True)]
    arrays = {
        name: body[-np.prod(shape) :].reshape(shape) for body, (name, shape) in zip(bodies, SHAPES.items(), strict=True)
    }
    return train_and_test(arrays, FASHION_MNIST.classes, published=True)


def _unpacked(path: Path, md5: str) -> np.ndarray:
    """The content of an archive, if it is the one that the authors published."""
    try:
        content = atomic_write.content(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {_remedy(path)}") from None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path} is not the archive that Fashion-MNIST's authors published. {_remedy(path)}")
    return np.frombuffer(gzip.decompress(content), np.uint8)


def locate(published: Published) -> list[Path]:
    """The archives of a published set: in `$OCTAVO_DATA`, otherwise in the user's cache, otherwise downloaded to the
    cache.

    Raises:
        ServiceUnavailable: the download failed.
        DataError: the downloaded file differs from the published one.
    """
    cache = Path(pooch.os_cache("octavo"))
    own = os.environ.get("OCTAVO_DATA")
    homes = [Path(os.environ.get("DVC_ROOT", ""), own), cache] if own else [cache]
    for home in homes:
        paths = [home / name for name in published.archives]
        if all(path.is_file() for path in paths):
            return paths
    return [_download(published, cache / name, known) for name, known in published.archives.items()]


def _download(published: Published, path: Path, known_hash: str) -> Path:
    url = published.url + path.name
    remedy = f"Try again, or set OCTAVO_DATA to a folder with {', '.join(published.archives)}."
    try:
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, progressbar=sys.stderr.isatty())
    except OSError as error:
        raise ServiceUnavailable(
            f"{published.title} is not on this machine, and {url} is unavailable ({type(error).__name__}). {remedy}"
        ) from None
    except ValueError:
        raise DataError(f"{url} is not the file published as {published.title} ({known_hash}). {remedy}") from None
    return path


def _verified(published: Published, arrays: Arrays, path: Path) -> Arrays:
    for name, shape in SHAPES.items():
        got, digest = arrays[name], published.sha256[name]
        if got.dtype != np.uint8 or got.shape != shape or sha256(got) != digest:
            raise DataError(
                f"{name} in {path} ({got.dtype} {got.shape}, sha256 {sha256(got)[:12]}…) is not that of "
                f"{published.title} (uint8 {shape}, sha256 {digest[:12]}…). {_remedy(path)}"
            )
    return arrays


def _remedy(path: Path) -> str:
    return f"Remove {path}, and it is downloaded again."
