"""Find out what kind of data a path holds, and list its examples."""

from pathlib import Path

from octavo.project.errors import DataError
from octavo.reporting.one_command.given import arrays, image_folders, tables
from octavo.reporting.one_command.given.pool import Pool, Size

FILES = (".npz", ".npy")
"""Suffixes of files that hold all examples."""


def read(path: Path, size: Size | None = None) -> tuple[Pool, Pool | None]:
    """The examples at `path`, and its own test split if it has one.

    Args:
        path: a folder of images, with or without a folder for each class, or with `train/` and `test/`; or NumPy's
            files, as `arrays.read` lists them; or a table of paths and labels.
        size: (height, width) that the network takes; None if it takes any. Images of a table are resized to it now,
            all others when they are loaded.

    Raises:
        DataError: there are no examples, or they cannot be read.
    """
    if path.suffix.lower() in tables.READERS and not path.is_dir():
        return tables.read(path, size)
    if not path.is_dir():
        if path.suffix.lower() not in FILES:
            known = ", ".join((*FILES, *tables.READERS))
            raise DataError(f"{path} is not one of {known}, nor a folder of images or .npy files. Give one.")
        return arrays.read(path)
    if own := image_folders.parts(path):
        train, test = map(image_folders.read, own)
        if train.classes != test.classes:
            raise DataError(f"{own[0]} and {own[1]} do not have the same class folders. Add the missing ones, empty.")
        return train, test
    if not image_folders.is_one(path) and any(path.glob("*.npy")):
        return arrays.read(path)
    return image_folders.read(path), None
