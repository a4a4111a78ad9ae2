"""Accuracy over latency, with the file's size as the area of a dot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.reporting.figures.axes import Axis, spanning

CHARACTER = 6.6
"""Average width of a label's character in pixels."""
LINE = 15
"""Height of a label."""
NEAREST, FARTHEST, FARTHER = 8, 160, 6
"""Pixels between a dot and its label: start, end and step of the search."""
DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (-0.7, 0.7))


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, other: "Box") -> bool:
        """Whether this box is completely inside the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class Dot:
    card: Scorecard
    x: float
    y: float
    radius: float
    label: Box


@dataclass(frozen=True)
class Scatter:
    """Accuracy over latency. The area of a dot is the file's size."""

    x: Axis
    y: Axis
    dots: list[Dot]


def scatter(scorecards: Scorecards) -> Scatter:
    """Every variant by latency, accuracy and size. Each label is beside its dot and overlaps no other."""
    cards = sorted(scorecards.scorecards, key=lambda card: -card.size.file_bytes)
    x = spanning((card.latency.batches["1"].p50_us for card in cards), 60, 900, log=True)
    y = spanning((100 * card.quality.top1 for card in cards), 380, 20)
    largest = cards[0].size.file_bytes
    spots = [
        (x.at(card.latency.batches["1"].p50_us), y.at(100 * card.quality.top1), _radius(card.size.file_bytes / largest))
        for card in cards
    ]
    frame = Box(x.start, y.end, x.end, y.start)
    taken = [_around(*spot) for spot in spots]
    dots = []
    for card, (left, top, radius) in zip(cards, spots, strict=True):
        label = _label(card.variant, left, top, radius, taken, frame)
        taken.append(label)
        dots.append(Dot(card, left, top, radius, label))
    return Scatter(x, y, dots)


def _radius(share: float) -> float:
    return round(max(5.0, 20 * math.sqrt(share)), 1)


def _around(x: float, y: float, radius: float) -> Box:
    return Box(x - radius, y - radius, x + radius, y + radius)


def _label(text: str, x: float, y: float, radius: float, taken: Sequence[Box], frame: Box) -> Box:
    """The nearest free place around the dot; to its right if there is none."""
    width = len(text) * CHARACTER
    places = []
    for gap in range(NEAREST, FARTHEST, FARTHER):
        for right, down in DIRECTIONS:
            middle, centre = x + right * (radius + gap + width / 2), y + down * (radius + gap + LINE / 2)
            places.append(Box(middle - width / 2, centre - LINE / 2, middle + width / 2, centre + LINE / 2))
    free = (place for place in places if place.inside(frame) and not any(place.meets(other) for other in taken))
    return next(free, places[0])
