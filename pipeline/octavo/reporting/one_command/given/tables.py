"""Examples that a table lists: a CSV or Parquet file with a path and a label in each row, and perhaps a split."""

from pathlib import Path

import numpy as np

from octavo.data import sources, split_assignment
from octavo.data.sources.raw import Array, Raw
from octavo.data.split_assignment import Digests
from octavo.project.errors import some
from octavo.reporting.one_command.given.pool import Labels, Loaded, Places, Pool, Size

READERS = {".csv": sources.csv_table, ".parquet": sources.parquet_table}
"""Suffix -> the module that reads such tables."""


def read(path: Path, size: Size | None) -> tuple[Pool, Pool | None]:
    """The examples of the table's rows, and those of the split `test` if it has such rows.

    Args:
        path: the table. Paths in it are relative to its folder.
        size: (height, width) to resize images to; None to keep the size.

    Raises:
        DataError: the table or an image cannot be read.
        ModuleNotFoundError: Parquet needs pyarrow, which is in an extra.
    """
    raw: Raw = READERS[path.suffix.lower()].read(path, size)
    files, classes = raw.files, tuple(raw.classes or ())
    assert files
    left_out = [f"{len(each)} {kind} are left out: {some(each)}." for kind, each in files.left_out.items()]
    changed = [f"{n:,} images: {change}." for change, n in files.changed.items()]
    if len(classes) == 1:
        changed.append(f"All rows have the label {classes[0]}. One class is no label, so labels are ignored.")
    pools = [_pool(*raw.train, files.digests, files.train, (classes, (*left_out, *changed)))]
    if raw.test:
        pools.append(_pool(*raw.test, split_assignment.image_digests(raw.test[0]), files.test, (classes, ())))
    train, *test = pools if len(classes) > 1 else [pool.unlabelled() for pool in pools]
    return train, test[0] if test else None


def _pool(
    images: Array,
    labels: Labels,
    digests: Digests,
    names: tuple[str, ...],
    said: tuple[tuple[str, ...], tuple[str, ...]],
) -> Pool:
    """A pool of images in memory.

    Args:
        images: (N, …), decoded.
        labels: (N,) of them.
        digests: (N,) of their files or pixels.
        names: of their files.
        said: the classes, and what was left out or changed.
    """

    def load(places: Places, _: Size | None) -> Loaded:
        return Loaded(images[places], {})

    return Pool(np.asarray(digests), load, lambda place: names[place], labels.astype(np.int64), *said)
