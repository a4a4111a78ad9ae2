"""A bar for each of several named values, one below the other."""

from collections.abc import Mapping
from dataclasses import dataclass

WIDTH = 900
NAMES = 260
"""Room for the names."""
FIGURES = 70
"""Room for the values behind the bars."""
TOP = 40
ROW = 22
LONGEST = 38
"""Characters of a name that are shown, its end, where layers differ."""


@dataclass(frozen=True)
class Bar:
    name: str
    y: float
    width: float
    value: float


@dataclass(frozen=True)
class Bars:
    left: float
    height: float
    bars: list[Bar]


def bars(values: Mapping[str, float], full: float | None = None) -> Bars:
    """Bars from zero, the longest for `full`, by default the largest value; what is below zero has none."""
    longest = full or max(0.0, *values.values()) or 1.0
    room = WIDTH - NAMES - FIGURES
    return Bars(
        NAMES,
        TOP + ROW * len(values) + 10,
        [
            Bar(
                name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}",
                TOP + ROW * place,
                round(room * min(max(value, 0) / longest, 1), 1),
                value,
            )
            for place, (name, value) in enumerate(values.items())
        ],
    )
