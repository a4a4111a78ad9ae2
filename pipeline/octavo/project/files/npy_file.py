"""Arrays of numbers in NumPy's format. What a file declares is checked before any of it is read.

Objects, which would be unpickled, and structures are never read.
"""

import math
import os
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from octavo.project.files import atomic_write, spooled_array

READERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): npy.read_array_header_1_0,
    (2, 0): npy.read_array_header_2_0,
}
"""Versions of the format. The third version is for names of structures."""
KINDS = "biuf"
"""Booleans, integers and floats."""
DIMENSIONS = 8


class UnreadableArray(ValueError):
    """Why an array cannot be read, as part of a sentence."""


@dataclass(frozen=True)
class Header:
    """The declarations before the numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    in_fortran_order: bool
    start: int
    """Bytes before the numbers."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def first(self, rows: int) -> "Header":
        """The header of the first rows alone; itself if it has no more, or if rows do not follow each other."""
        if self.in_fortran_order or not self.shape or self.shape[0] <= rows:
            return self
        return replace(self, shape=(rows, *self.shape[1:]))

    def shaped(self, flat: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The flat array (number of elements,) in the declared shape."""
        return flat.reshape(self.shape, order="F" if self.in_fortran_order else "C")


def read_header(file: BinaryIO) -> Header:
    """Read the header at the start of `file`, and nothing more.

    Raises:
        UnreadableArray: it is not a header, or declares something other than numbers.
    """
    shape, in_fortran_order, dtype = _parts(file)
    if dtype.kind not in KINDS or dtype.subdtype:
        raise UnreadableArray(f"it holds {'Python objects' if dtype.hasobject else dtype}, allowed are plain numbers")
    if len(shape) > DIMENSIONS or any(isinstance(size, bool) or not 0 <= size < 2**63 for size in shape):
        raise UnreadableArray(f"it declares the shape {str(shape)[:60]}")
    return Header(tuple(map(int, shape)), dtype, in_fortran_order, file.tell())


def _parts(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        reader = READERS.get(version)
        found = reader(file) if reader else None
    except (ValueError, TypeError, LookupError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError):
        raise UnreadableArray("it is not in NumPy's format, or its header is damaged") from None
    if found is None:
        raise UnreadableArray(f"it is in version {version[0]}.{version[1]} of NumPy's format, which is for structures")
    return found


def mapped(path: Path) -> npt.NDArray[Any]:
    """The array in the npy file at `path`, mapped into memory read-only.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableArray: it cannot be read, holds something other than numbers, or has another size than it declares.
    """
    try:
        with atomic_write.open_regular(path) as file:
            return _mapped(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableArray(f"{path.name}: {error.strerror or error}") from None
    except UnreadableArray as error:
        raise UnreadableArray(f"{path.name}: {error}") from None


def _mapped(file: BinaryIO) -> npt.NDArray[Any]:
    header, size = read_header(file), os.fstat(file.fileno()).st_size
    if size != header.size:
        raise UnreadableArray(f"it has {size:,} bytes and declares {header.size:,}")
    if not math.prod(header.shape):
        return np.empty(header.shape, header.dtype)
    order: Any = "F" if header.in_fortran_order else "C"
    return np.memmap(file, header.dtype, "r", header.start, header.shape, order)


def read(path: Path) -> npt.NDArray[Any]:
    """The array in the npy file at `path`, in memory. Raises as `mapped`."""
    return np.array(mapped(path))


def write(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array in the format of `np.save`, whose own errors do not say that the disk is full.

    Raises:
        OSError: it cannot be written.
    """
    array = array if array.flags.c_contiguous else np.ascontiguousarray(array)
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(array))
        for part in spooled_array.parts(array):
            file.write(part.reshape(-1).view(np.uint8).data)
