"""Arrays that may be larger than memory: in a temporary file without a name, mapped, and read in parts.

The file is in `$TMPDIR`, or in `/var/tmp`, because `/tmp` is memory on some machines. It goes with the last array.
"""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

PART = 2**24
"""Bytes read or written at a time, except that a part has at least one row."""
NEIGHBOURS = 2**16
"""Bytes around a row that Linux maps with it."""
SMALL = 2**26
"""Bytes up to which rows that are taken from a mapped array are kept in memory."""


class Spool:
    """Rows of one shape and type, written one after the other."""

    def __init__(self) -> None:
        self._file = TemporaryFile(dir=_place())  # noqa: SIM115 - it lives as long as the arrays do
        self.n = 0
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def append(self, row: Array) -> None:
        """Write one row. The first one gives the shape and the type.

        Raises:
            OSError: there is no room.
        """
        if not self.n:
            self.shape, self.dtype = row.shape, row.dtype
        self._file.write(np.ascontiguousarray(row).reshape(-1).view(np.uint8).data)
        self.n += 1

    def array(self) -> Array:
        """All rows, (n, *shape), mapped read-only."""
        self._file.flush()
        if not self.n or 0 in self.shape:
            return np.empty((self.n, *self.shape), self.dtype)
        return np.memmap(self._file, self.dtype, "r", 0, (self.n, *self.shape))


def _place() -> str:
    """The folder for temporary files."""
    disk = Path("/var/tmp")  # noqa: S108 - the file there has no name
    return str(disk) if "TMPDIR" not in os.environ and os.access(disk, os.W_OK) else gettempdir()


def parts(array: Array) -> Iterator[Array]:
    """The array in consecutive slices of its rows. Each one's memory is released before the next, if it is mapped."""
    step = max(PART // max(array[:1].nbytes, 1), 1)
    for start in range(0, len(array), step):
        yield array[start : start + step]
        release(array)


def release(array: Array) -> None:
    """Give back the memory of a mapped array. Its values are read again when they are needed."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and getattr(array, "mode", "") == "r":
        with suppress(ValueError, OSError):  # a system that cannot do it does it by itself when memory is short
            mapped.madvise(mmap.MADV_DONTNEED)


def take(array: Array, rows: Array) -> Array:
    """`array[rows]`, of row numbers or a mask. Of a large mapped array, the result is mapped too."""
    places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
    if not isinstance(array, np.memmap):
        return array[rows]
    spool, step = Spool(), max(PART // max(array[:1].nbytes, NEIGHBOURS), 1)
    slices = [places[start : start + step] for start in range(0, len(places), step)]
    if len(places) * array[:1].nbytes <= SMALL:
        found = [array[:0]]
        for each in slices:
            found.append(array[each])
            release(array)
        return np.concatenate(found)
    for each in slices:
        for place in each:
            spool.append(array[place])
        release(array)
    return spool.array()


def changed(array: Array, change: Callable[[Array], Array]) -> Array:
    """`change` of all rows. The result is mapped if the array is.

    Args:
        array: (N, …).
        change: from some rows to as many others.
    """
    if not isinstance(array, np.memmap):
        return np.asarray(change(array))
    spool = Spool()
    for part in parts(array):
        for row in change(part):
            spool.append(row)
    return spool.array()
