"""A user's folder of images with one folder per class."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from octavo.data.sources.image_files import decoded
from octavo.data.sources.raw import Files, Raw, some_of
from octavo.project.errors import DataError, some
from octavo.project.params.data import IMAGE_SUFFIXES

LITTER = {"desktop.ini", "ehthumbs.db", "thumbs.db"}
"""Files that Windows leaves in folders. They are ignored like hidden files."""
OUTSIDE, NO_SUFFIX = "outside the class folders", "without a suffix"


class Example(NamedTuple):
    """An image file and its label. `part` is `train` or `test`, or `.` if the folder has no such parts."""

    part: str
    label: int
    path: Path


def read(root: Path, size: tuple[int, int] | None = None, most: int | None = None) -> Raw:
    """Read a folder of class folders, or of `train/` and `test/` with class folders each.

    Images are uint8: (N, H, W) if all files are grey, otherwise (N, H, W, 3). They are turned upright by their EXIF
    data. Classes are the sorted folder names. Files without an image's suffix, or outside the class folders, are left
    out and counted. Hidden files are ignored.

    Args:
        root: the folder.
        size: (height, width) to resize to; None to keep the size.
        most: of the images that are decoded, spread over the classes; None for all.

    Raises:
        DataError: there are no images, `image_file` refuses one, sizes differ without `size`, a link leads outside, a
            class folder holds only other files, or a folder cannot be read.
    """
    try:
        return _read(root, size, most)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read: {error.strerror}. Make it readable, or move it away."
        ) from None


def _read(root: Path, size: tuple[int, int] | None, most: int | None) -> Raw:
    parts = _parts(root)
    classes = sorted({folder.name for part in parts for folder in _folders(root / part)})
    _check_names(classes)
    every = [
        Example(part, label, path)
        for part in parts
        for label, name in enumerate(classes)
        for path in _image_files(root, root / part / name)
    ]
    if not every:
        raise DataError(
            f"No images in {root}. data.path is a folder with one folder of images per class, "
            "or with train/ and test/ which have one each."
        )
    examples = some_of(every, most)
    paths = [example.path for example in examples]
    pictures, labels = decoded(paths, size), np.array([example.label for example in examples])
    n, names = sum(example.part != "test" for example in examples), tuple(printable(path, root) for path in paths)
    return Raw(
        train=(pictures.pixels[:n], labels[:n]),
        test=(pictures.pixels[n:], labels[n:]) if len(parts) == 2 else None,
        classes=tuple(printable(Path(name)) for name in classes),
        files=Files(
            digests=pictures.digests[:n],
            train=names[:n],
            test=names[n:],
            left_out=_left_out(root, parts, {example.path for example in every}),
            changed=pictures.changes,
        ),
        whole=len(examples) == len(every),
    )


def _parts(root: Path) -> tuple[str, ...]:
    if not ((root / "train").is_dir() and (root / "test").is_dir()):
        return (".",)
    if others := {folder.name for folder in _folders(root)} - {"train", "test"}:
        raise DataError(
            f"{root} holds {', '.join(sorted(others))} beside train/ and test/. "
            "Only these two are read: move the others away, or into train/."
        )
    return "train", "test"


def _check_names(classes: Sequence[str]) -> None:
    """Refuse two folders whose names are equal once bytes that are not UTF-8 are written as escapes."""
    for name, count in Counter(printable(Path(name)) for name in classes).items():
        if count > 1:
            raise DataError(f"{count} class folders are called {name}, one of them in bytes. Rename one.")


def visible(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without hidden files and litter; nothing if it is no folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith(".") and path.name.lower() not in LITTER)


def _folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_dir()]


def _image_files(root: Path, folder: Path) -> list[Path]:
    if nested := _folders(folder):
        raise DataError(f"{nested[0]} is a folder inside a class folder. Class folders hold images only: move it away.")
    files = visible(folder)
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if files and not images:
        raise DataError(
            f"No file in {folder} has the suffix of an image that can be read: {some(path.name for path in files)}. "
            f"Save its images with one of {' '.join(IMAGE_SUFFIXES)}."
        )
    require_inside(root, images)
    return images


def require_inside(root: Path, paths: Sequence[Path]) -> None:
    """Check that no path leads outside `root` by a link.

    Raises:
        DataError: one does.
    """
    home = os.path.realpath(root)
    for path in paths:
        if not Path(os.path.realpath(path)).is_relative_to(home):
            raise DataError(f"{path} leads outside {root}. Copy the image into the folder instead of linking to it.")


def _left_out(root: Path, parts: Sequence[str], taken: set[Path]) -> dict[str, tuple[str, ...]]:
    """Kind -> names of the visible files that are not examples."""
    found: dict[str, list[str]] = defaultdict(list)
    for top in dict.fromkeys([root, *(root / part for part in parts)]):
        found[OUTSIDE] += [printable(path, root) for path in visible(top) if not path.is_dir()]
    inside = (path for part in parts for folder in _folders(root / part) for path in visible(folder))
    for path in inside:
        if path not in taken:
            found[printable(Path(path.suffix.lower())) if path.suffix else NO_SUFFIX] += [printable(path, root)]
    return {kind: tuple(names) for kind, names in sorted(found.items()) if names}


def printable(path: Path, root: Path = Path()) -> str:
    """A path below `root`. Bytes in it that are not UTF-8 are written as escapes, because JSON cannot hold them."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
