"""The data for all later stages: splits of plain arrays, and the manifest that describes them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.data.input_encoding import IMAGES
from octavo.project.errors import DataError
from octavo.project.files import json_file, npy_file, spooled_array
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.variants import MIN_SQNR_DB
from octavo.project.schema import Record

RANKS = range(2, 6)
"""Numbers of dimensions of a split's examples, with the first for their number."""


@dataclass(frozen=True)
class Split:
    images: np.ndarray
    """Examples (N, H, W), (N, H, W, C), (N, T, C), (N, D) or (N, Z, H, W, C): uint8 in 0..255, or float32."""
    labels: np.ndarray
    """(N,) int64, from 0 to the number of classes minus one."""

    def take(self, which: npt.NDArray[Any]) -> "Split":
        return Split(spooled_array.take(self.images, which), self.labels[which])


@dataclass(frozen=True)
class Samples:
    """The data that a recipe may use: never the test split."""

    calibration: np.ndarray
    """Images as a split has them; `encode` makes of a batch what the network takes."""
    selection: Split
    """For every choice that the recipe makes."""
    min_sqnr_db: float = MIN_SQNR_DB
    """Of the outputs: a file with less is refused, so a recipe need not choose it."""
    task: str = "classification"
    """What the outputs mean, by the name that `octavo.tasks.task.load` takes."""

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.calibration, self.selection.images, self.selection.labels


class PixelStatistics(Record):
    """What drift can be judged by without the images, in the images' own unit, 0..255 for uint8."""

    mean: float
    """Over all pixels."""
    std: float
    brightness: tuple[int, ...]
    """Histogram of the images' mean pixel, in equal bins over `Manifest.pixel_range`."""
    contrast: tuple[int, ...]
    """Histogram of the standard deviation of the images' pixels, in equal bins from 0 to half the width of the range,
    which is the largest possible one.
    """


class SplitRecord(Record):
    n: int
    counts: dict[str, int]
    """Number of images in each class, in label order."""
    images_sha256: str
    labels_sha256: str
    pixels: PixelStatistics | None = None
    """None in manifests of earlier releases."""


class Duplicates(Record):
    """Images with equal pixels in the splits."""

    within: dict[str, int]
    """Split -> number of its images that repeat an earlier one."""
    across: dict[str, int]
    """`a/b` -> number of images of split b that are also in split a."""
    two_labels: int = 0
    """Number of images whose pixels also occur with another label. No network can get all of these right."""
    dropped: dict[str, int] = {}
    """Split -> number of images that were removed from it because selection or test have their pixels."""


class LeftOut(Record):
    """Files of one kind that are not examples."""

    n: int
    names: tuple[str, ...]
    """The first few."""


class Manifest(Record):
    source: str
    seed: int
    image_shape: tuple[int, ...]
    dtype: str
    classes: list[str]
    splits: dict[str, SplitRecord]
    own_test: bool = False
    """Whether the source has its own test split. Otherwise all splits were cut from one set of images."""
    pixel_range: tuple[float, float] | None = None
    """The range of the histograms of all splits; see `image_statistics.pixel_range`."""
    duplicates: Duplicates
    split_rule: int = 1
    """The rule of `split_assignment` that split the images; 1 in manifests of earlier releases."""
    test_share: float | None = None
    """The requested share of the test split; None if the source has its own, or in manifests of earlier releases."""
    left_out: dict[str, LeftOut] = {}
    """Kind -> files of the folder that are not examples."""
    changed: dict[str, int] = {}
    """How images were changed while they were read -> number of images."""
    encoding: InputEncoding = IMAGES
    """How stored images become what the networks take."""
    digest: str
    """SHA-256 over the digests of the splits, which identifies the data."""


def digest_of(splits: Mapping[str, SplitRecord]) -> str:
    """SHA-256 over the digests of all images and labels, in the order of `splits`. It identifies the data."""
    lines = (f"{name} {record.images_sha256} {record.labels_sha256}" for name, record in splits.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def load_split(folder: Path) -> Split:
    """Read one split as `prepare` wrote it.

    Raises:
        DataError: `images.npy` or `labels.npy` is missing or damaged.
    """
    try:
        paths = (folder / "images.npy", folder / "labels.npy")
        images, labels = (npy_file.mapped(path) for path in paths)
    except FileNotFoundError as error:
        raise DataError(f"No {error.filename}. Run dvc repro prepare.") from None
    except npy_file.UnreadableArray as error:
        raise DataError(f"{folder} is damaged ({error}). Run dvc repro --force prepare.") from None
    if images.ndim not in RANKS or labels.shape != images.shape[:1] or labels.dtype != np.int64:
        raise DataError(
            f"{folder} is damaged (images {images.dtype} {images.shape}, labels {labels.dtype} {labels.shape}). "
            "Run dvc repro --force prepare."
        )
    return Split(images, labels)


def load_manifest(path: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        DataError: it is missing or not a manifest.
    """
    try:
        return json_file.read_record(path, Manifest)
    except FileNotFoundError:
        raise DataError(f"No {path}. Run dvc repro prepare.") from None
    except json_file.Unreadable as error:
        raise DataError(f"{path} is not a data manifest ({error}). Run dvc repro --force prepare.") from None
