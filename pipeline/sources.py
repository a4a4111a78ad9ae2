"""Where images come from: sets that ship or are published, a user's own arrays, a user's folder of images.

A source reads; `pipeline.dataset` checks what was read and splits it.
"""

import gzip
import hashlib
import os
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pooch
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from pipeline.errors import DataError, ServiceUnavailable
from pipeline.params import Data

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
GREY_MODES = {"1", "L", "LA"}


@dataclass(frozen=True)
class Raw:
    """What a source holds: (images, labels) of train and, where the source has its own, of test."""

    train: tuple[Array, Array]
    test: tuple[Array, Array] | None = None
    classes: tuple[str, ...] | None = None
    """Class names in label order; None where classes are only numbered."""
    published: bool = False
    """Train and test are a published benchmark: images that stand in both are counted, not refused."""


@dataclass(frozen=True)
class Published:
    """A published set of 70,000 images of 28x28: where to get it and how to know it."""

    title: str
    url: str
    archives: Mapping[str, str]
    """Path below `$OCTAVO_DATA` or the cache -> the file's hash as published, in pooch's notation."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Array -> sha256 over its C-order bytes, whatever the archive."""


SHAPES = {"x_train": (60_000, 28, 28), "y_train": (60_000,), "x_test": (10_000, 28, 28), "y_test": (10_000,)}

MNIST = Published(
    title="MNIST",
    url="https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
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
    archives={
        "fashion_mnist/train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "fashion_mnist/train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "fashion_mnist/t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "fashion_mnist/t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
)


def load(data: Data) -> Raw:
    """Read the source that `data` names.

    Raises:
        DataError: the source is missing, unreadable, or not what was published under its name.
        ServiceUnavailable: a published set is not on this machine and cannot be downloaded.
    """
    path = data.path or Path()
    match data.source:
        case "digits":
            return digits()
        case "mnist":
            return mnist()
        case "fashion_mnist":
            return fashion_mnist()
        case "npz":
            return npz(path)
        case "images":
            return images(path, data.image_size)


def sha256(array: Array) -> str:
    """Digest of an array's C-order bytes."""
    return hashlib.sha256(array.tobytes()).hexdigest()


def digits() -> Raw:
    """The 1,797 handwritten digits inside scikit-learn, 8x8 in 0..16, as uint8 (1797, 28, 28) in 0..255."""
    bunch = load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    large = [Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR) for image in small]
    return Raw(train=(np.stack([np.asarray(image) for image in large]), bunch.target), classes=DIGITS)


def mnist() -> Raw:
    """MNIST, known by the sha256 of its arrays. Raises as `load` does."""
    (path,) = locate(MNIST)
    arrays = _verified(MNIST, _read_npz(path, _remedy(path)), path)
    return _train_and_test(arrays, DIGITS, published=True)


def fashion_mnist() -> Raw:
    """Fashion-MNIST, known by its authors' md5 of the four archives. Raises as `load` does."""
    paths = locate(FASHION_MNIST)
    for path, known in zip(paths, FASHION_MNIST.archives.values(), strict=True):
        if pooch.file_hash(str(path), alg="md5") != known.removeprefix("md5:"):
            raise DataError(f"{path} is not the archive that Fashion-MNIST's authors published. {_remedy(path)}")
    bodies = [np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8) for path in paths]
    arrays = {
        name: body[-np.prod(shape) :].reshape(shape) for body, (name, shape) in zip(bodies, SHAPES.items(), strict=True)
    }
    return _train_and_test(arrays, GARMENTS, published=True)


def npz(path: Path) -> Raw:
    """A user's archive with `x_train`, `y_train`, `x_test` and `y_test`, as it is.

    Raises:
        DataError: no such file, not a whole npz, a missing array, or pickled objects.
    """
    if not path.is_file():
        raise DataError(f"No file {path}. data.path is an npz archive with {', '.join(SHAPES)}.")
    remedy = f"Write it with np.savez: {', '.join(SHAPES)}, plain arrays only, no Python objects."
    return _train_and_test(_read_npz(path, remedy))


def images(root: Path, size: tuple[int, int] | None = None) -> Raw:
    """A folder of class folders, or of `train/` and `test/` with class folders each.

    Images are uint8 (N, H, W) where all files are grey, else (N, H, W, 3), upright as their EXIF says and resized to
    `size` (height, width) if given. Classes are the sorted folder names; hidden and other files are left aside.

    Raises:
        DataError: no images, an unreadable one, different sizes without `size`, or a link that leads outside.
    """
    parts = ("train", "test") if (root / "train").is_dir() and (root / "test").is_dir() else (".",)
    if len(parts) == 2 and (others := {folder.name for folder in _folders(root)} - set(parts)):
        raise DataError(
            f"{root} holds {', '.join(sorted(others))} beside train/ and test/. "
            "Only these two are read: move the others away, or into train/."
        )
    classes = tuple(sorted({folder.name for part in parts for folder in _folders(root / part)}))
    files = [
        (part, label, path)
        for part in parts
        for label, name in enumerate(classes)
        for path in _image_files(root, root / part / name)
    ]
    if not files:
        raise DataError(
            f"No images in {root}. data.path is a folder with one folder of images per class, "
            "or with train/ and test/ which have one each."
        )
    stack = _stack({path: _open(path, size) for _, _, path in files})
    labels = np.array([label for _, label, _ in files])
    in_test = np.array([part == "test" for part, _, _ in files])
    test = (stack[in_test], labels[in_test]) if len(parts) == 2 else None
    return Raw(train=(stack[~in_test], labels[~in_test]), test=test, classes=classes)


def locate(published: Published) -> list[Path]:
    """The archives of a published set: in `$OCTAVO_DATA`, else in the user's cache, else downloaded into it.

    Raises:
        ServiceUnavailable: the download failed.
        DataError: something else than the published file was downloaded.
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
            f"{published.title} is not on this machine, and {url} cannot be had ({type(error).__name__}). {remedy}"
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
    return f"Remove {path}, and it is downloaded anew."


def _read_npz(path: Path, remedy: str) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is cut short or not an npz archive (a zip of arrays). {remedy}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if missing := [name for name in SHAPES if name not in archive]:
                raise DataError(
                    f"{path} has no {', '.join(missing)} (it has {', '.join(archive) or 'nothing'}). {remedy}"
                )
            return {name: np.asarray(archive[name]) for name in SHAPES}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}). {remedy}") from None


def _train_and_test(arrays: Arrays, classes: tuple[str, ...] | None = None, published: bool = False) -> Raw:
    train, test = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    return Raw(train, test, classes, published)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _image_files(root: Path, folder: Path) -> list[Path]:
    if nested := _folders(folder):
        raise DataError(f"{nested[0]} is a folder inside a class folder. Class folders hold images only: move it away.")
    files = [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES]
    for path in files:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            raise DataError(f"{path} leads outside {root}. Copy the image into the folder instead of linking to it.")
    return files


def _open(path: Path, size: tuple[int, int] | None) -> Image.Image:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{path} has pixels of more than 8 bits (mode {image.mode}). Save it with 8 bits.")
            upright = ImageOps.exif_transpose(image).convert("L" if image.mode in GREY_MODES else "RGB")
    except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}). Replace or remove it.") from None
    return upright.resize(size[::-1], Image.Resampling.BILINEAR) if size else upright


def _stack(opened: Mapping[Path, Image.Image]) -> Array:
    first, like = next(iter(opened.items()))
    for path, image in opened.items():
        if image.size != like.size:
            raise DataError(
                f"{path} has {image.height}x{image.width} pixels, {first} has {like.height}x{like.width}. "
                "All must have one size: set data.image_size to [height, width] to resize them."
            )
    mode = "L" if all(image.mode == "L" for image in opened.values()) else "RGB"
    return np.stack([np.asarray(image.convert(mode)) for image in opened.values()])
