"""Sources of examples: bundled and published sets, a user's own arrays, images in folders or tables, a function.

A source only reads. `octavo.data.prepare` checks what was read and splits it.
"""

from collections.abc import Callable
from pathlib import Path

from octavo.data.sources import csv_table, generator, image_folder, npy, npz, published
from octavo.data.sources.raw import Raw
from octavo.project import extras
from octavo.project.params.data import Data

try:
    from octavo.data.sources import digits
except ModuleNotFoundError as fault:
    digits = extras.absent(fault)
try:
    from octavo.data.sources import parquet_table
except ModuleNotFoundError as fault:
    parquet_table = extras.absent(fault)


READERS: dict[str, Callable[[Data, Path, int | None], Raw]] = {
    "digits": lambda *_: digits.read(),
    "mnist": lambda *_: published.mnist(),
    "fashion_mnist": lambda *_: published.fashion_mnist(),
    "npz": lambda _, path, most: npz.read(path, most),
    "npy": lambda _, path, most: npy.read(path, most),
    "images": lambda data, path, most: image_folder.read(path, data.image_size, most),
    "csv": lambda data, path, most: csv_table.read(path, data.image_size, most),
    "parquet": lambda data, path, most: parquet_table.read(path, data.image_size, most),
    "generator": lambda data, path, _: generator.read(data.generator, path),
}
"""Source -> its reader."""


def load(data: Data, most: int | None = None) -> Raw:
    """Read the source that `data` names.

    Args:
        data: as in `params.yaml`.
        most: to try the source, read about this many of its examples, if they are image files or large arrays. None:
            read all.

    Raises:
        DataError: the source is missing, unreadable, or not what was published under its name.
        ServiceUnavailable: a published set is not on this machine and cannot be downloaded.
        ParamsError: the generator's function cannot be imported.
        ModuleNotFoundError: the digits are inside scikit-learn, and Parquet needs pyarrow. Both are extras.
    """
    return READERS[data.source](data, data.path or Path(), most)
