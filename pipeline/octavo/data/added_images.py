"""Images that were added between two manifests, as counts by class, brightness and contrast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octavo.data.image_statistics import Histogram, Range, histogram_range, middles
from octavo.data.splits import Manifest

Counts = dict[str, npt.NDArray[Any]]
"""`class_balance`, `brightness` and `contrast` -> number of images in each class or bin (K,)."""

PIXELS: tuple[Histogram, ...] = ("brightness", "contrast")
SPLITS = ("train", "selection", "test")
"""Calibration is a part of train."""


@dataclass(frozen=True)
class Arrivals:
    """The images to judge, and the earlier images to compare them with."""

    what: str
    """For example "new images"."""
    n: int
    counts: Counts
    before: Counts

    @property
    def name(self) -> str:
        """How many of what: "420 new images"."""
        return f"{self.n:,} {self.what}"


def arrivals(now: Manifest, then: Manifest) -> list[Arrivals]:
    """The sets of images to judge: all splits together, or train and test separately if the source has both.

    If every old count is contained in the new one, the data have grown, and only the added images are judged; otherwise
    all present images are. Both manifests must have the same schema. Counts of brightness and contrast exist if both
    manifests have them.
    """
    sets: dict[str, Sequence[str]] = {"": SPLITS}
    if now.own_test and then.own_test:
        sets = {" for train and selection": SPLITS[:2], " for test": SPLITS[2:]}
    values = common_range(now, then)
    return [_between(name, _counts(now, parts, values), _counts(then, parts, values)) for name, parts in sets.items()]


def common_range(now: Manifest, then: Manifest) -> Range | None:
    """The range of pixels whose bins fit both manifests' histograms; None if one of them has no histograms."""
    if now.pixel_range is None or then.pixel_range is None:
        return None
    lows, highs = zip(now.pixel_range, then.pixel_range, strict=True)
    return (-max(highs) if min(lows) < 0 else 0.0), max(highs)


def _between(name: str, now: Counts, then: Counts) -> Arrivals:
    grown = all((now[rule] >= then[rule]).all() for rule in now)
    counts = {rule: now[rule] - then[rule] for rule in now} if grown else now
    n = int(counts["class_balance"].sum())
    return Arrivals(f"{'new images' if grown else 'images now'}{name}", n, counts, then)


def _counts(manifest: Manifest, parts: Sequence[str], values: Range | None) -> Counts:
    records = [manifest.splits[part] for part in parts]
    counts: Counts = {"class_balance": np.sum([list(record.counts.values()) for record in records], axis=0)}
    if values and manifest.pixel_range:
        for rule in PIXELS:
            bins = np.sum([getattr(record.pixels, rule) for record in records], axis=0)
            own, common = middles(rule, manifest.pixel_range, len(bins)), histogram_range(rule, values)
            counts[rule] = np.histogram(own, len(bins), common, weights=bins)[0].astype(np.int64)
    return counts
