"""Examples that a path holds. They are listed first, and only those that are needed are decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from octavo.data.sources.raw import Array
from octavo.data.split_assignment import Digests

Size = tuple[int, int]
"""Height and width in pixels."""
Places = npt.NDArray[np.intp]
Labels = npt.NDArray[np.int64]


class Loaded(NamedTuple):
    """Examples in memory."""

    examples: Array
    """Images as (N, H, W) or (N, H, W, 3) uint8; arrays as they are stored."""
    changed: Mapping[str, int]
    """How examples were changed -> number of examples."""


@dataclass(frozen=True)
class Pool:
    """Examples that are not loaded yet."""

    digests: Digests
    """(N,) of 16 bytes each, of the files, or of the arrays."""
    load: Callable[[Places, Size | None], Loaded]
    """Indices, and the size to resize images to -> the examples."""
    name: Callable[[int], str]
    """Index -> the user's name of an example."""
    labels: Labels | None = None
    """(N,); None without labels."""
    classes: tuple[str, ...] | None = None
    """Class names in label order; None without labels, or if classes only have numbers."""
    remarks: tuple[str, ...] = field(default=())
    """What was left out, as sentences."""

    def __len__(self) -> int:
        return len(self.digests)

    def unlabelled(self) -> "Pool":
        """The same examples without their labels."""
        return replace(self, labels=None, classes=None)

    def only(self, places: Places) -> "Pool":
        """The examples with these indices, in this order."""
        return replace(
            self,
            digests=self.digests[places],
            load=lambda some, size: self.load(places[some], size),
            name=lambda place: self.name(int(places[place])),
            labels=None if self.labels is None else self.labels[places],
        )
