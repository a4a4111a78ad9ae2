"""Files that are whole or not there: written beside, then renamed over the old."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

CHUNK = 2**24
"""Bytes that are read at a time."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, creating its folder; a reader sees the old bytes or the new ones, never a part."""
    write_pieces(path, [content])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write `pieces` one after the other, like `write_bytes`; no more than one of them needs to be in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    beside.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, like `write_bytes`."""
    write_bytes(path, text.encode())


def digest(path: Path, algorithm: Literal["md5", "sha256"]) -> str:
    """The digest of the file's content in hexadecimal; MD5 is for comparing with others' records, not for trust."""
    found = hashlib.new(algorithm, usedforsecurity=algorithm != "md5")
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
