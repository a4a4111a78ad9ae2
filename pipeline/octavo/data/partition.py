"""Partition all images of a source into four splits: train, calibration (a part of train), selection and test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from octavo.data import duplicates, split_assignment
from octavo.data.sources.raw import Files
from octavo.data.split_assignment import Digests, Labels
from octavo.data.splits import Split
from octavo.project.errors import DataError
from octavo.project.params.data import Data

DISJOINT = ("train", "selection", "test")
"""Splits without common images. Calibration is a part of train."""
Rows = dict[str, npt.NDArray[np.intp]]
"""Split -> indices of the source's images in it."""


@dataclass(frozen=True)
class Partition:
    splits: dict[str, Split]
    names: dict[str, tuple[str, ...]]
    """For train, selection and test: the user's name of each image, which is its file, or its index in the source's
    array.
    """
    dropped: dict[str, int]
    """Split -> number of images that were removed from it because selection or test have their pixels."""


def partition(
    train: Split,
    test: Split | None,
    classes: Sequence[str],
    data: Data,
    files: Files | None = None,
    published: bool = False,
) -> Partition:
    """Make seeded splits of checked images.

    The split of an image depends on the seed and on the bytes of its file, or of its array if it has no file. So it
    stays
    the same when the data grow: an image that was in test is not used for training later. The sizes of the splits are
    therefore only about the requested shares. See `split_assignment` for the deviation and for small classes.
    `data.duplicates` says what happens to images with equal pixels in two splits.

    Args:
        train: all images, or all except the source's own test split.
        test: the source's own test split, if it has one.
        classes: class names in label order.
        data: shares, seed and the size of calibration.
        files: the files of the images, if they have any.
        published: whether others compare their results on this source as it is.

    Raises:
        DataError: a class is too small to be split, calibration needs more images than train has, or images with equal
            pixels are refused.
    """
    keys = files.digests if files else split_assignment.image_digests(train.images)
    _require_enough(keys, train.labels, classes, test is not None, partial(_called, "train", files))
    rows = _cut(keys, train.labels, data, own_test=test is not None)
    splits = {name: train.take(places) for name, places in rows.items()} | ({"test": test} if test else {})
    found = duplicates.find({name: part.images for name, part in splits.items()})
    handling = data.duplicates or ("allow" if published else "drop_from_train")
    if handling == "refuse":
        duplicates.refuse(found, partial(_name, rows, files))
    if handling == "allow":
        found = {}
    for name, copies in found.items():
        rows[name], splits[name] = rows[name][~copies.mask], splits[name].take(~copies.mask)
        _require_left(name, splits[name], classes)
    chosen = _calibration(keys[rows["train"]], splits["train"].labels, data)
    splits = {"train": splits["train"], "calibration": splits["train"].take(chosen), **splits}
    names = {
        name: tuple(_name(rows, files, name, place) for place in range(len(splits[name].labels))) for name in DISJOINT
    }
    return Partition(splits, names, {name: int(copies.mask.sum()) for name, copies in found.items()})


def _cut(keys: Digests, labels: Labels, data: Data, own_test: bool) -> Rows:
    """Train, selection and, unless the source has its own, test."""
    rest, test = np.arange(len(labels)), {}
    if not own_test:
        held = split_assignment.held_out(keys, labels, data.test, data.seed, "test", leave=2)
        test, rest = {"test": rest[held]}, rest[~held]
    held = split_assignment.held_out(keys[rest], labels[rest], data.selection, data.seed, "selection", leave=1)
    return {"train": rest[~held], "selection": rest[held], **test}


def _calibration(keys: Digests, labels: Labels, data: Data) -> npt.NDArray[np.intp]:
    if data.calibration > len(labels):
        raise DataError(
            f"data.calibration asks for {data.calibration} images, but train has {len(labels)}. "
            f"Set it to {len(labels)} or less."
        )
    return split_assignment.stratified(keys, labels, data.calibration, data.seed, "calibration")


def _name(rows: Rows, files: Files | None, split: str, place: int) -> str:
    """The user's name of an image in a split: its file, or its index in the source's array."""
    part, place = ("train", int(rows[split][place])) if split in rows else ("test", place)
    return _called(part, files, place)


def _called(part: str, files: Files | None, place: int) -> str:
    """The user's name of an image in the source's train or test."""
    if files is None:
        return f"x_{part}[{place}]"
    return (files.train if part == "train" else files.test)[place]


def _require_enough(
    keys: Digests, labels: Labels, classes: Sequence[str], own_test: bool, called: Callable[[int], str]
) -> None:
    parts = ("train", "selection") if own_test else ("train", "selection", "test")
    for label, n in enumerate(split_assignment.different_images(keys, labels, len(classes))):
        if n < len(parts):
            needed = f"and {', '.join(parts)} need one each"
            if twins := split_assignment.twins(keys, labels, label):
                first, other = twins[0]
                raise DataError(
                    f"Class '{classes[label]}' has {n} different images of its own, {needed}: {len(twins)} of its "
                    f"images are also in another class, first {called(first)}, which is {called(other)} of class "
                    f"'{classes[labels[other]]}'. Remove each from one of the two."
                )
            raise DataError(
                f"Class '{classes[label]}' has too few different images to be split: {n}, {needed}. Add some."
            )


def _require_left(name: str, part: Split, classes: Sequence[str]) -> None:
    for absent in np.setdiff1d(np.arange(len(classes)), part.labels):
        raise DataError(
            f"All images of class '{classes[absent]}' in {name} have the same pixels as images of "
            f"{' or '.join(duplicates.JUDGES[name])}. Add others, or set data.duplicates to allow."
        )
