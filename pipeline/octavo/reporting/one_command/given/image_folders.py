"""A folder of images, with or without a folder for each class. Files are decoded by `data.sources.image_file`."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import ExifTags, Image

from octavo.data.sources import image_file, image_files
from octavo.data.sources.image_folder import printable, require_inside, visible
from octavo.project.errors import DataError, some
from octavo.project.files import atomic_write
from octavo.project.params.data import IMAGE_SUFFIXES
from octavo.reporting.one_command.given.pool import Loaded, Places, Pool, Size

SIDEWAYS = (5, 6, 7, 8)
"""Values of EXIF's orientation that exchange width and height."""
THREADS = min(8, os.cpu_count() or 1)

Found = TypeVar("Found")


def is_one(root: Path) -> bool:
    """Whether a folder holds images, at its top or one folder below."""
    return any(_is_image(path) for each in (root, *_folders(root)) for path in _visible(each))


def read(root: Path) -> Pool:
    """The images in `root`: one folder for each class, or no folders and no labels.

    Classes are the sorted folder names. A folder without images is a class without examples. A single folder is no
    label. Hidden files are ignored; others that are not examples are counted.

    Raises:
        DataError: there are no images, a class folder has folders, a link leads outside, or a file cannot be read.
    """
    classes = _folders(root)
    folders = classes or [root]
    for nested in (each for folder in classes for each in _folders(folder)):
        raise DataError(f"{nested} is a folder inside a class folder. Class folders hold images only: move it away.")
    listed = [(label, path) for label, each in enumerate(folders) for path in _visible(each) if _is_image(path)]
    if not listed:
        raise DataError(f"No images in {root}. Give a folder of images, or one with a folder of images for each class.")
    paths = [path for _, path in listed]
    require_inside(root, paths)
    taken, places = set(paths), dict.fromkeys((root, *folders))
    others = [path for each in places for path in _visible(each) if path.is_file() and path not in taken]
    remarks = [f"{len(others)} files that are not examples are left out: {some(map(str, others))}."] if others else []
    if len(classes) == 1:
        remarks.append(
            f"All images are in one folder, {classes[0].name}. One class is no label, so labels are ignored."
        )
    labelled = len(classes) > 1
    return Pool(
        digests=np.array(_in_threads(_digest, paths), "S16"),
        load=partial(_load, paths),
        name=lambda place: str(paths[place]),
        labels=np.array([label for label, _ in listed], np.int64) if labelled else None,
        classes=tuple(printable(Path(folder.name)) for folder in classes) if labelled else None,
        remarks=tuple(remarks),
    )


def parts(root: Path) -> tuple[Path, Path] | None:
    """The folders `train` and `test` in `root`, if it has these two and no other.

    Raises:
        DataError: it has other folders beside them.
    """
    names = {folder.name for folder in _folders(root)}
    if not {"train", "test"} <= names:
        return None
    if others := names - {"train", "test"}:
        raise DataError(
            f"{root} has {', '.join(sorted(others))} beside train/ and test/. Give the one to divide as --data, and "
            "the other as --test."
        )
    return root / "train", root / "test"


def _load(paths: Sequence[Path], places: Places, size: Size | None) -> Loaded:
    """Decode these files as (N, H, W), or as (N, H, W, 3) if one is in colour. The array may be larger than memory."""
    asked = [paths[place] for place in places]
    sizes = _in_threads(_size, asked)
    different = {found: path for found, path in zip(sizes, asked, strict=True) if found}
    if size is None and len(different) > 1:
        (first, one), (second, other) = list(different.items())[:2]
        raise DataError(
            f"{one} has {first[0]}x{first[1]} pixels, {other} has {second[0]}x{second[1]}, and the model takes images "
            "of any size. Resize all to one size."
        )
    decoded = image_files.decoded(asked, size)
    changed = dict(decoded.changes)
    if size and (n := sum(found not in (None, size) for found in sizes)):
        changed[f"resized to {size[0]}x{size[1]}, without keeping their proportions"] = n
    return Loaded(decoded.pixels, changed)


def _size(path: Path) -> Size | None:
    """Height and width, upright, by the file's header; None if it cannot be read, which its decoding will explain."""
    try:
        with Image.open(path, formats=image_file.FORMATS) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception:  # noqa: BLE001 # Pillow's decoders raise whatever a damaged file leads to
        return None


def _digest(path: Path) -> bytes:
    try:
        content = atomic_write.content(path, image_file.LARGEST)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Replace or remove it.") from None
    return hashlib.blake2b(content, digest_size=16).digest()


def _in_threads(function: Callable[[Any], Found], paths: Sequence[Path]) -> list[Found]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, paths))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def _visible(folder: Path) -> list[Path]:
    try:
        return visible(folder)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}. Make it readable, or move it away.") from None


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]
