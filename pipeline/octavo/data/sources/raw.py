"""The result of every source, before it is checked and split."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from octavo.project.files import spooled_array

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
T = TypeVar("T")

NAMES = ("x_train", "y_train", "x_test", "y_test")
"""The arrays of an archive with train and test."""
LAYOUTS = (NAMES, NAMES[:2], ("images", "labels"))
"""The arrays that a user may give: with a test split, or without."""
ALLOWED = " or ".join(", ".join(names) for names in LAYOUTS)
"""The same for messages."""
SMALL = 2**28
"""Bytes of arrays that are read completely, also to try them."""


@dataclass(frozen=True)
class Files:
    """The files of the examples, if each has one of its own."""

    digests: npt.NDArray[np.bytes_]
    """(N,) digests of the bytes of train's files, 16 bytes each."""
    train: tuple[str, ...]
    """Names of train's files."""
    test: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kind -> names of the files that are not examples."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """How files were changed while they were read -> number of files."""


@dataclass(frozen=True)
class Raw:
    """The content of a source: (images, labels) of train and, if the source has its own, of test."""

    train: tuple[Array, Array]
    test: tuple[Array, Array] | None = None
    classes: tuple[str, ...] | None = None
    """Class names in label order; None if classes only have numbers."""
    published: bool = False
    """Whether train and test are a published benchmark, on which others compare results."""
    files: Files | None = None
    """None if examples come as arrays."""
    whole: bool = True
    """Whether these are all examples, and not some that were read to try the source."""


def train_and_test(
    arrays: Arrays, classes: tuple[str, ...] | None = None, published: bool = False, whole: bool = True
) -> Raw:
    """A `Raw` of a user's arrays.

    Args:
        arrays: by the names in one of `LAYOUTS`.
        classes: class names in label order, or None.
        published: whether it is a published benchmark.
        whole: whether these are all rows of the arrays.
    """
    pairs = [(arrays[x], arrays[y]) for x, y in (("x_train", "y_train"), LAYOUTS[2], NAMES[2:]) if x in arrays]
    return Raw(pairs[0], pairs[1] if len(pairs) > 1 else None, classes, published, whole=whole)


def layout_of(found: Collection[str]) -> tuple[str, ...]:
    """The one of `LAYOUTS` that arrays with these names have, or are meant to have."""
    if {"x_test", "y_test"}.isdisjoint(found):
        return next((names for names in LAYOUTS[1:] if set(names) <= set(found)), NAMES)
    return NAMES


def some_of(items: Sequence[T], most: int | None) -> Sequence[T]:
    """At most `most` of the items, spread over all of them; all if `most` is None."""
    return items if most is None or len(items) <= most else items[:: -(-len(items) // most)]


def numbered(labels: Sequence[str | int]) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Labels as numbers (N,), and the class names in label order: integers by their value, others by their name."""
    names = set(map(str, labels))
    integers = all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names)
    classes = sorted(names, key=int) if integers else sorted(names)
    numbers = {name: number for number, name in enumerate(classes)}
    return np.array([numbers[str(label)] for label in labels], np.int64), tuple(classes)


def sha256(array: Array) -> str:
    """SHA-256 of an array's C-order bytes."""
    digest = hashlib.sha256()
    for part in spooled_array.parts(array):
        digest.update(part.tobytes())
    return digest.hexdigest()
