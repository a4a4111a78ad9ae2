"""Find images with equal pixels in two splits, by which a network would be judged on what it was trained or chosen on.

Copies of a file are always in one split. What is found here are different files with equal pixels, such as a photo that
was saved twice, and images of a source's own test split that are also in its train split.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.data.split_assignment import Digests, image_digests
from octavo.project.errors import DataError
from octavo.project.files import spooled_array

JUDGES = {"train": ("selection", "test"), "selection": ("test",)}
"""Split -> the splits that judge what is trained or chosen on it."""

Images = npt.NDArray[Any]


@dataclass(frozen=True)
class Copies:
    """Images of one split whose pixels are also in a split that judges it."""

    mask: npt.NDArray[np.bool_]
    """(N,), true for a copy."""
    first: tuple[int, str, int]
    """Index of the first copy, and where its pixels also are: the split and the index there."""


def pixel_digests(images: Images) -> Digests:
    """(N,) digests of 16 bytes, equal for images with equal pixels; -0.0 equals 0.0."""
    if images.dtype == np.uint8:
        return image_digests(images)
    return np.concatenate([image_digests(part + np.float32(0)) for part in spooled_array.parts(images)])


def find(splits: Mapping[str, Images]) -> dict[str, Copies]:
    """The copies in each split, by split. Splits without copies are left out.

    Args:
        splits: images of train, selection and test, by split.
    """
    digests = {name: pixel_digests(images) for name, images in splits.items()}
    found = {}
    for name, judges in JUDGES.items():
        masks = {judge: np.isin(digests[name], digests[judge]) for judge in judges}
        mask = np.logical_or.reduce(list(masks.values()))
        if mask.any():
            place = int(mask.argmax())
            judge = next(judge for judge in judges if masks[judge][place])
            there = int((digests[judge] == digests[name][place]).argmax())
            found[name] = Copies(mask, (place, judge, there))
    return found


def refuse(found: Mapping[str, Copies], name: Callable[[str, int], str]) -> None:
    """Refuse data that contain copies.

    Args:
        found: from `find`.
        name: returns the user's name of an image, from its split and index.

    Raises:
        DataError: there are copies. The message names the first one.
    """
    for split, copies in found.items():
        place, judge, there = copies.first
        raise DataError(
            f"{copies.mask.sum()} images of {split} have the same pixels as images of {' or '.join(JUDGES[split])}, so "
            f"accuracy would be too high; the first is {name(split, place)}, like {name(judge, there)}. Remove them "
            "from one of the two, or set data.duplicates to drop_from_train."
        )
