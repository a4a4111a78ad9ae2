"""Training curves: accuracy and loss by epoch, for every network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from octavo.reporting.figures.axes import Axis, spanning

History = Sequence[Mapping[str, float]]
"""One row per epoch: `epoch`, `loss`, `accuracy`, `val_loss`, `val_accuracy`."""


HUES = 6
"""Colours that the style sheet has for networks; more networks share them."""


@dataclass(frozen=True)
class Line:
    network: str
    hue: int
    """One of `HUES` colours, the same for all lines of a network."""
    validation: bool
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    title: str
    x: Axis
    y: Axis
    lines: list[Line]


def curves(histories: Mapping[str, History], parents: Mapping[str, str]) -> list[Chart]:
    """Accuracy and loss by epoch. A fine-tuned network continues where its parent stopped.

    Args:
        histories: network -> its training by epoch.
        parents: fine-tuned network -> the network that it started from.
    """
    begins = {network: _epochs_before(network, histories, parents) for network in histories}
    charts = (
        _chart("Accuracy, %", "accuracy", 100, 60, histories, begins),
        _chart("Loss", "loss", 1, 530, histories, begins),
    )
    return [chart for chart in charts if chart]


def _epochs_before(network: str, histories: Mapping[str, History], parents: Mapping[str, str]) -> int:
    before = 0
    while network in parents:
        network = parents[network]
        before += len(histories.get(network, ()))
    return before


def _chart(
    title: str,
    column: str,
    scale: float,
    left: float,
    histories: Mapping[str, History],
    begins: Mapping[str, int],
) -> Chart | None:
    series = [
        (network, key, points)
        for network, history in histories.items()
        for key in (column, f"val_{column}")
        if (points := _points(history, key, scale, begins[network]))
    ]
    if not series:
        return None
    x = spanning((epoch for _, _, points in series for epoch, _ in points), left, left + 370)
    y = spanning((value for _, _, points in series for _, value in points), 240, 30)
    hues = {network: place % HUES for place, network in enumerate(histories)}
    lines = [
        Line(network, hues[network], key != column, [(x.at(e), y.at(v)) for e, v in points])
        for network, key, points in series
    ]
    return Chart(title, x, y, lines)


def _points(history: History, key: str, scale: float, before: int) -> list[tuple[float, float]]:
    values = [(before + n, scale * row.get(key, math.nan)) for n, row in enumerate(history, start=1)]
    return [(epoch, value) for epoch, value in values if math.isfinite(value)]
