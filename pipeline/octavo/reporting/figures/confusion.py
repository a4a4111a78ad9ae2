"""The confusion matrix: how many images of each class were taken for which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

AREA = 560
"""Pixels that the whole matrix may take in either direction."""
LARGEST, SMALLEST = 40, 5
"""Pixels of a cell."""
READ = 22
"""From this size of a cell on its count is written into it."""
NAMED = 11
"""From this size on each class is named."""
LONGEST = 16
"""Characters of a class's name that are shown."""
CHARACTER = 6.6
"""Width of one of them in pixels, on average."""


@dataclass(frozen=True)
class Cell:
    x: float
    y: float
    actual: str
    predicted: str
    count: int
    strength: float
    """0 to 0.75, by the root of the share of the actual class's images, so that single errors are seen."""


@dataclass(frozen=True)
class Confusion:
    side: float
    """Of a cell."""
    left: float
    top: float
    width: float
    height: float
    cells: list[Cell]
    names: list[tuple[float, str]]
    """Where along either direction the middle of a class lies, and what it is called."""
    counted: bool


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Confusion:
    """Rows are the actual class, columns the predicted one; cells without an image are left out."""
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
