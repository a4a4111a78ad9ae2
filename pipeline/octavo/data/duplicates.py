"""Images with equal pixels in two splits: what a network was trained on, or chosen by, would judge it.

Copies of a file are always in one split. What is found here are files that differ though their pixels do not, such as a
photo that was saved twice, and images of a source's own test split that are in its train split, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.data.split_assignment import Digests, image_digests
from octavo.project.errors import DataError

JUDGES = {"train": ("selection", "test"), "selection": ("test",)}
"""Split -> the splits that judge what is learned or chosen by it."""

Images = npt.NDArray[Any]


@dataclass(frozen=True)
class Copies:
    """Images of one split whose pixels stand in a split that judges it."""

    mask: npt.NDArray[np.bool_]
    """(N,) which they are."""
    first: tuple[int, str, int]
    """The first one's place, and where its pixels stand: the split, and the place there."""


def pixel_digests(images: Images) -> Digests:
    """(N,) digests of 16 bytes, equal where all pixels of two images are; -0.0 equals 0.0."""
    return image_digests(images if images.dtype == np.uint8 else images + np.float32(0))


def find(splits: Mapping[str, Images]) -> dict[str, Copies]:
    """Split -> its copies; nothing for a split that has none.

    Args:
        splits: images of train, selection and test.
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
    """Refuse data in which there are copies.

    Args:
        found: by `find`.
        name: what the user calls the image at a place of a split.

    Raises:
        DataError: there are some; it names the first of them.
    """
    for split, copies in found.items():
        place, judge, there = copies.first
        raise DataError(
            f"{copies.mask.sum()} images of {split} have the same pixels as images of {' or '.join(JUDGES[split])}, so "
            f"accuracy would flatter; the first is {name(split, place)}, like {name(judge, there)}. Remove them from "
            "one of the two, or set data.duplicates to drop_from_train."
        )
