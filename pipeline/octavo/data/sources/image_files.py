"""Decode many image files in parallel, as one array that may be larger than memory."""

import os
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from octavo.data.sources import image_file
from octavo.data.sources.image_file import Picture
from octavo.data.sources.raw import Array
from octavo.project.errors import DataError, some
from octavo.project.files import spooled_array
from octavo.project.files.spooled_array import Spool

TO_RGB = "grey converted to RGB, because others are in colour"
THREADS, AHEAD = 8, 2
"""Most threads, and files for each that are decoded before the first is stored. Both bound the memory."""

Size = tuple[int, int] | None


@dataclass(frozen=True)
class Pictures:
    """Decoded files."""

    pixels: Array
    """uint8 (N, H, W) if all are grey, otherwise (N, H, W, 3); mapped into memory."""
    digests: npt.NDArray[np.bytes_]
    """(N,) digests of the files' bytes, 16 bytes each."""
    changes: Mapping[str, int]
    """How files were changed -> number of files."""


def decoded(paths: Sequence[Path], size: Size = None) -> Pictures:
    """Decode image files. Memory does not grow with their number.

    Args:
        paths: of one file or more.
        size: (height, width) to resize to; None to keep the size.

    Raises:
        DataError: `image_file` refuses a file, and the message also names the others that it refuses; or sizes differ.
    """
    spool, faults, unlike = Spool(), list[tuple[Path, DataError]](), ""
    digests: list[bytes] = []
    changes: Counter[str] = Counter()
    grey = 0
    for path, found in zip(paths, _pictures(paths, size), strict=True):
        if isinstance(found, DataError):
            faults.append((path, found))
            continue
        if faults or unlike:
            continue
        spool = _like(spool, found.pixels)
        unlike = _unlike(spool, found.pixels, path, paths[0])
        if not unlike:
            spool.append(_in_colour(found.pixels) if len(spool.shape) == 3 else found.pixels)
        grey += found.pixels.ndim == 2
        digests.append(found.digest)
        changes.update(found.changes)
    _refuse(faults)
    if unlike:
        raise DataError(unlike)
    if len(spool.shape) == 3 and grey:
        changes[TO_RGB] = grey
    return Pictures(spool.array(), np.array(digests, "S16"), dict(sorted(changes.items())))


def _pictures(paths: Sequence[Path], size: Size) -> Iterator[Picture | DataError]:
    """Each file decoded, or why it is refused, in the order of `paths`. Pillow decodes outside Python's lock."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = min(cores, THREADS)
    waiting: deque[Future[Picture | DataError]] = deque()
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore", UserWarning)  # about metadata, which is not used
        for path in paths:
            waiting.append(pool.submit(_picture_or_fault, path, size))
            if len(waiting) >= threads * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _picture_or_fault(path: Path, size: Size) -> Picture | DataError:
    try:
        return image_file.decode(path, size)
    except DataError as error:
        return error


def _like(spool: Spool, pixels: Array) -> Spool:
    """The spool; once the first image in colour comes, another one with the earlier grey images in colour."""
    if pixels.ndim < 3 or len(spool.shape) != 2:
        return spool
    colour = Spool()
    for part in spooled_array.parts(spool.array()):
        for row in part:
            colour.append(_in_colour(row))
    return colour


def _in_colour(pixels: Array) -> Array:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def _unlike(spool: Spool, pixels: Array, path: Path, first: Path) -> str:
    """Why the image does not fit the first one; empty if it does."""
    if not spool.n or pixels.shape[:2] == spool.shape[:2]:
        return ""
    return (
        f"{path} has {pixels.shape[0]}x{pixels.shape[1]} pixels, {first} has {spool.shape[0]}x{spool.shape[1]}. "
        "All must have one size: set data.image_size to [height, width] to resize them."
    )


def _refuse(faults: Sequence[tuple[Path, DataError]]) -> None:
    if faults:
        (_, first), *others = faults
        more = f" {len(others)} more cannot be used as they are: {some(str(path) for path, _ in others)}."
        raise DataError(f"{first}{more if others else ''}")
