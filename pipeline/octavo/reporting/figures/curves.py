"""Training curves: accuracy and loss by epoch, of every network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from octavo.reporting.figures.axes import Axis, spanning

History = Sequence[Mapping[str, float]]
"""A row an epoch: `epoch`, `loss`, `accuracy`, `val_loss`, `val_accuracy`."""


@dataclass(frozen=True)
class Line:
    network: str
    validation: bool
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    title: str
    x: Axis
    y: Axis
    lines: list[Line]


def curves(histories: Mapping[str, History]) -> list[Chart]:
    """Accuracy and loss over the epochs; `control` and `qat` go on where `fp32` stopped."""
    charts = (
        _chart("Accuracy, %", "accuracy", 100, 60, histories),
        _chart("Loss", "loss", 1, 530, histories),
    )
    return [chart for chart in charts if chart]


def _chart(title: str, column: str, scale: float, left: float, histories: Mapping[str, History]) -> Chart | None:
    series = [
        (network, key, points)
        for network, history in histories.items()
        for key in (column, f"val_{column}")
        if (points := _points(history, key, scale, 0 if network == "fp32" else len(histories.get("fp32", ()))))
    ]
    if not series:
        return None
    x = spanning((epoch for _, _, points in series for epoch, _ in points), left, left + 370)
    y = spanning((value for _, _, points in series for _, value in points), 240, 30)
    lines = [Line(network, key != column, [(x.at(e), y.at(v)) for e, v in points]) for network, key, points in series]
    return Chart(title, x, y, lines)


def _points(history: History, key: str, scale: float, before: int) -> list[tuple[float, float]]:
    values = [(before + n, scale * row.get(key, math.nan)) for n, row in enumerate(history, start=1)]
    return [(epoch, value) for epoch, value in values if math.isfinite(value)]
