"""A bar chart of named values, one below the other."""

from collections.abc import Mapping
from dataclasses import dataclass

WIDTH = 900
NAMES = 260
"""Pixels for the names."""
FIGURES = 70
"""Pixels for the values behind the bars."""
TOP = 40
ROW = 22
LONGEST = 38
"""Characters of a name that are shown. The end is kept, because layer names differ there."""


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
    """Bars from zero. The longest stands for `full`, by default the largest value. A negative value gets no bar."""
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
