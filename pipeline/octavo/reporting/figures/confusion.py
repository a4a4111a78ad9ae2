"""The confusion matrix: number of images by actual and predicted class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

AREA = 560
"""Pixels that the whole matrix may take in each direction."""
LARGEST, SMALLEST = 40, 5
"""Pixels of a cell."""
READ = 22
"""From this size on, a cell shows its count."""
NAMED = 11
"""From this size on, each class shows its name."""
LONGEST = 16
"""Characters of a class's name that are shown."""
CHARACTER = 6.6
"""Average width of a character in pixels."""


@dataclass(frozen=True)
class Cell:
    x: float
    y: float
    actual: str
    predicted: str
    count: int
    strength: float
    """0 to 0.75, by the square root of the share of the actual class's images, so that single errors are visible."""


@dataclass(frozen=True)
class Confusion:
    side: float
    """Pixels of a cell."""
    left: float
    top: float
    width: float
    height: float
    cells: list[Cell]
    names: list[tuple[float, str]]
    """For each class: the middle of its row or column, and its name."""
    counted: bool


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Confusion:
    """Rows are the actual class, columns the predicted one. Cells without images are left out."""
    side = float(min(LARGEST, max(SMALLEST, AREA // len(classes))))
    shown = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in classes]
    named = side >= NAMED
    margin = round(40 + CHARACTER * max(map(len, shown)), 1) if named else 40
    cells = [
        Cell(
            round(margin + column * side, 1),
            round(margin + row * side, 1),
            classes[row],
            classes[column],
            count,
            round(0.75 * math.sqrt(count / sum(counts)), 3),
        )
        for row, counts in enumerate(matrix)
        for column, count in enumerate(counts)
        if count
    ]
    names = [((place + 0.5) * side, name) for place, name in enumerate(shown)] if named else []
    whole = round(margin + len(classes) * side + 10, 1)
    return Confusion(side, margin, margin, max(whole, 260), whole, cells, names, side >= READ)
