"""What every source hands on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

NAMES = ("x_train", "y_train", "x_test", "y_test")
"""The arrays of an archive that has train and test."""


@dataclass(frozen=True)
class Files:
    """The files that examples came from, where each has one of its own."""

    digests: npt.NDArray[np.bytes_]
    """(N,) of the bytes of train's files, 16 bytes each."""
    train: tuple[str, ...]
    """Names of train's files."""
    test: tuple[str, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kind -> names of the files that are no examples."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """How files were changed as they were read -> how many."""


@dataclass(frozen=True)
class Raw:
    """What a source holds: (images, labels) of train and, where the source has its own, of test."""

    train: tuple[Array, Array]
    test: tuple[Array, Array] | None = None
    classes: tuple[str, ...] | None = None
    """Class names in label order; None where classes are only numbered."""
    published: bool = False
    """Train and test are a published benchmark, compared by others as it is."""
    files: Files | None = None
    """None where examples come as arrays."""


def train_and_test(arrays: Arrays, classes: tuple[str, ...] | None = None, published: bool = False) -> Raw:
    """What `npz.arrays` gave, as a source hands it on."""
    train, test = (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])
    return Raw(train, test, classes, published)


def sha256(array: Array) -> str:
    """Digest of an array's C-order bytes."""
    return hashlib.sha256(array.tobytes()).hexdigest()
