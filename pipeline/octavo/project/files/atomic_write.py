"""Read files with checks, and write them atomically: under a temporary name, then renamed over the old file.

The standard library has no such write, and the package atomicwrites is no longer maintained.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal

CHUNK = 2**24
"""Bytes read at a time."""
LARGEST = 2**30
"""Default limit for the bytes of a file that is read at once."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. A pipe or a device could block its reader for ever.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a name with a NUL
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):
        os.close(file)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(file, "rb")


def content(path: Path, largest: int = LARGEST) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it cannot be read, is not a regular file, or has more than `largest` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, allowed are {largest:,}", str(path))
        return file.read(largest)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` and create its folder. A reader sees the old bytes or the new ones, never a part."""
    write_pieces(path, [content])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write `pieces` one after the other, as `write_bytes` does. Only one of them needs to be in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    beside.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def digest(path: Path, algorithm: Literal["md5", "sha256"]) -> str:
    """The digest of a file's content in hexadecimal. MD5 is only for comparison with other programs' records."""
    found = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
