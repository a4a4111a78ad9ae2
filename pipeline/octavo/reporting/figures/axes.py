"""Axes of the report's figures: map values to pixels, with round ticks."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PADDING = 0.06
"""Share of the axis that stays free at each end."""
FEWEST = 3
"""A logarithmic axis with fewer ticks than this gets evenly spaced ones."""


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, mapped to the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of `value`."""
        low, high, here = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (here - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[Tick]:
        """Round values on the axis, usually three to seven."""
        decades = list(_decades(self.low, self.high)) if self.log else []
        if len(decades) >= FEWEST:
            return [Tick(self.at(value), f"{value:g}") for value in decades]
        step = _round_step((self.high - self.low) / 5)
        digits = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [Tick(self.at(step * n), f"{step * n + 0.0:.{digits}f}") for n in range(first, last + 1)]


def spanning(values: Iterable[float], start: float, end: float, log: bool = False) -> Axis:
    """An axis that holds all values, with some room at both ends.

    Args:
        values: to be shown.
        start: pixel of the lower end.
        end: pixel of the upper end.
        log: whether the axis is logarithmic.
    """
    places = [math.log(value) if log else value for value in values]
    low, high = min(places), max(places)
    room = (high - low) * PADDING or abs(high) * PADDING or PADDING
    low, high = low - room, high + room
    return Axis(math.exp(low), math.exp(high), start, end, log) if log else Axis(low, high, start, end)


def _decades(low: float, high: float) -> Iterator[float]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for mantissa in (1, 2, 5):
            if low <= (value := mantissa * 10.0**power) <= high:
                yield value


def _round_step(rough: float) -> float:
    unit: float = 10.0 ** math.floor(math.log10(rough))
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
