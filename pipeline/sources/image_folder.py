"""A user's folder of images: one folder a class."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import DataError
from pipeline.sources.raw import Array, Raw

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
GREY_MODES = {"1", "L", "LA"}


def read(root: Path, size: tuple[int, int] | None = None) -> Raw:
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
