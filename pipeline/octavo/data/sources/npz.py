"""Arrays in an npz archive, which is a zip file: all declarations in it are checked before anything is unpacked."""

import lzma
import os
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from octavo.data.sources.raw import ALLOWED, SMALL, Array, Arrays, Raw, layout_of, train_and_test
from octavo.project.errors import DataError
from octavo.project.files import atomic_write, npy_file
from octavo.project.files.npy_file import Header

METHODS = {ZIP_STORED: "stored", ZIP_DEFLATED: "deflate", ZIP_BZIP2: "bzip2", ZIP_LZMA: "LZMA"}
ENCRYPTED = 1
"""A bit of a member's flags."""
CHUNK = 2**20
"""Bytes unpacked at a time."""
FAULTS = (
    OSError, EOFError, MemoryError, NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError,
    struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What Python raises for a damaged archive; MemoryError if LZMA asks for a window of gigabytes."""


def read(path: Path, most: int | None = None) -> Raw:
    """Read a user's archive with `x_train` and `y_train`, with `x_test` and `y_test` if there are any; or with `images`
    and `labels`.

    Args:
        path: of the archive.
        most: rows of each array that are read if the archive is not small. None: all.

    Raises:
        DataError: the file is missing or not a complete npz, an array is missing, or it has pickled objects.
    """
    if not path.exists():
        raise DataError(f"No file {path}. data.path is an npz archive with {ALLOWED}.")
    remedy = f"Write it with np.savez: {ALLOWED}; plain arrays only, no Python objects."
    found, whole = _rows(path, remedy, most)
    return train_and_test(found, whole=whole)


def arrays(path: Path, remedy: str) -> Arrays:
    """The arrays with the names of one of `LAYOUTS`. Every error message ends with `remedy`.

    Raises:
        DataError: the file is not a complete npz, an array is missing, the arrays do not fit together or into this
            machine's memory, or they hold something other than numbers.
    """
    return _rows(path, remedy, None)[0]


def _rows(path: Path, remedy: str, most: int | None) -> tuple[Arrays, bool]:
    """The arrays, or the first rows of each if they are not small; and whether these are all rows."""
    try:
        with atomic_write.open_regular(path) as file, _opened(file) as archive:
            members = _members(archive)
            headers = {name: _header(archive, member) for name, member in members.items()}
            _check(headers)
            whole = most is None or sum(header.size for header in headers.values()) <= SMALL
            read = headers if whole else {name: header.first(most or 0) for name, header in headers.items()}
            return {name: _array(archive, members[name], read[name]) for name in members}, whole
    except npy_file.UnreadableArray as error:
        raise DataError(f"{path} {error}. {remedy}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. {remedy}") from None


def _opened(file: object) -> ZipFile:
    try:
        return ZipFile(file)  # type: ignore[call-overload]
    except FAULTS:
        raise npy_file.UnreadableArray("is cut short or not an npz archive (a zip of arrays)") from None


def _members(archive: ZipFile) -> dict[str, ZipInfo]:
    """The archive's entry for each array of its layout.

    Raises:
        UnreadableArray: one is missing, exists twice, or is compressed in a way that cannot be read.
    """
    found = Counter(info.filename for info in archive.infolist())
    names = layout_of([name.removesuffix(".npy") for name in found])
    if missing := [name for name in names if f"{name}.npy" not in found]:
        others = ", ".join(sorted(name.removesuffix(".npy") for name in found)[:8]) or "nothing"
        raise npy_file.UnreadableArray(f"has no {', '.join(missing)} (it has {others})")
    for name in names:
        info = archive.getinfo(f"{name}.npy")
        if found[info.filename] > 1:
            raise npy_file.UnreadableArray(f"has {found[info.filename]} arrays called {name}")
        if info.flag_bits & ENCRYPTED:
            raise npy_file.UnreadableArray(f"cannot be read: {name} is encrypted")
        if info.compress_type not in METHODS:
            known = ", ".join(METHODS.values())
            raise npy_file.UnreadableArray(
                f"cannot be read: {name} is compressed by method {info.compress_type}, allowed are {known}"
            )
    return {name: archive.getinfo(f"{name}.npy") for name in names}


def _header(archive: ZipFile, member: ZipInfo) -> Header:
    name = member.filename.removesuffix(".npy")
    try:
        with archive.open(member) as file:
            header = npy_file.read_header(file)  # type: ignore[arg-type] # it is a binary stream
    except npy_file.UnreadableArray as error:
        raise npy_file.UnreadableArray(f"cannot be read: {name}: {error}") from None
    except FAULTS as error:
        raise npy_file.UnreadableArray(f"cannot be read: {name} is damaged ({_said(error)})") from None
    if member.file_size != header.size:
        raise npy_file.UnreadableArray(
            f"cannot be read: {name} has {member.file_size:,} bytes and declares {header.size:,}"
        )
    return header


def _check(headers: dict[str, Header]) -> None:
    """Compare the declared sizes of the arrays with each other and with this machine's memory."""
    shapes = [header.shape for header in headers.values()]
    for part, images, labels in zip(("train", "test"), shapes[::2], shapes[1::2], strict=False):
        if images[:1] != labels[:1] or not images:
            raise npy_file.UnreadableArray(
                f"has labels of {part} of shape {labels} for {images[0] if images else 0:,} images: give one per image"
            )
    for train, test in zip(shapes[:1], shapes[2:3], strict=False):
        if train[1:] != test[1:]:
            raise npy_file.UnreadableArray(
                f"has images of shape {train} in train and {test} in test: they must be alike"
            )
    needed, memory = sum(header.size for header in headers.values()), _memory()
    if needed > memory:
        raise npy_file.UnreadableArray(f"unpacks to {needed:,} bytes, and this machine has {memory:,} of memory")


def _memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _array(archive: ZipFile, member: ZipInfo, header: Header) -> Array:
    """The array. No more is unpacked than it declares, and its checksum is compared with the archive's."""
    flat = np.empty(int(np.prod(header.shape, dtype=object)), header.dtype)
    try:
        with archive.open(member) as file:
            npy_file.read_header(file)  # type: ignore[arg-type]
            place = flat.view(np.uint8).data
            while place:
                place = place[_filled(file.read(min(CHUNK, len(place))), place) :]
            file.read(1)  # a read at the end makes zipfile compare the checksum
    except FAULTS as error:
        name = member.filename.removesuffix(".npy")
        raise npy_file.UnreadableArray(f"cannot be read: {name} is damaged ({_said(error)})") from None
    return header.shaped(flat)


def _filled(chunk: bytes, place: memoryview) -> int:
    if not chunk:
        raise EOFError("it ends early")
    place[: len(chunk)] = chunk
    return len(chunk)


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
