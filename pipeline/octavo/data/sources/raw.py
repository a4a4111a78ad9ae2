"""The result of every source, before it is checked and split."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.project.files import spooled_array

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

NAMES = ("x_train", "y_train", "x_test", "y_test")
"""The arrays of an archive with train and test."""


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


def train_and_test(arrays: Arrays, classes: tuple[str, ...] | None = None, published: bool = False) -> Raw:
    """A `Raw` of the arrays that `npz.arrays` returns.

    Args:
        arrays: by the names in `NAMES`.
        classes: class names in label order, or None.
        published: whether it is a published benchmark.
    """
    train, test = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    return Raw(train, test, classes, published)


def sha256(array: Array) -> str:
    """SHA-256 of an array's C-order bytes."""
    digest = hashlib.sha256()
    for part in spooled_array.parts(array):
        digest.update(part.tobytes())
    return digest.hexdigest()
