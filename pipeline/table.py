"""The variants table: one row a variant, and how its figures read."""

import math
from collections.abc import Sequence

from pipeline.decision import Decision
from pipeline.scorecard import Interval, Paired, Record, Scorecard, Scorecards

HEADERS = (
    "variant",
    "accuracy",
    "points vs baseline",
    "size, kB",
    "ratio",
    "p50, µs",
    "ratio",
    "int8 weights",
    "verdict",
)


class Row(Record):
    """The figures of one variant; latency is that of batch 1."""

    variant: str
    accuracy: float
    delta: float
    delta_ci: Interval
    """As it was judged."""
    vs_control: Paired | None
    """Of a quantization-aware variant: beside the float network that trained on for just as long."""
    size_bytes: int
    size_ratio: float
    latency_us: float
    latency_ratio: float
    latency_ratio_ci95: Interval
    integer_weight_share: float | None
    """None where it is unknown."""
    verdict: str
    """`baseline`, `pass`, `fail` or `underpowered`."""
    unmet: tuple[str, ...]
    """The rules that do not hold."""
    reasons: tuple[str, ...]
    """What they found, with figure and limit."""
    winner: bool


def table(scorecards: Scorecards, decision: Decision) -> list[Row]:
    """One row for each measured variant, in the order of `params.yaml`."""
    return [_row(card, decision) for card in scorecards.scorecards]


def cells(row: Row) -> tuple[str, ...]:
    """The row as people read it, a text for each of `HEADERS`."""
    is_baseline = row.verdict == "baseline"
    return (
        row.variant,
        percent(row.accuracy),
        "" if is_baseline else f"{points(row.delta)} [{', '.join(map(points, row.delta_ci))}]",
        kilobytes(row.size_bytes),
        ratio(row.size_ratio),
        microseconds(row.latency_us),
        ratio(row.latency_ratio) if is_baseline else interval(row.latency_ratio, row.latency_ratio_ci95),
        whole_percent(row.integer_weight_share),
        verdict(row),
    )


def gains(rows: Sequence[Row]) -> list[str]:
    """What quantization-aware training gained beyond more training: a line for each variant made by it."""
    return [
        f"QAT beyond more training: {row.variant} {points(row.vs_control.delta)} points, "
        f"95% interval [{', '.join(map(points, row.vs_control.ci))}]"
        for row in rows
        if row.vs_control
    ]


def findings(rows: Sequence[Row]) -> list[str]:
    """Why each variant that did not pass did not: a line for each."""
    return [f"{row.verdict.capitalize()} {row.variant}: {'; '.join(row.reasons)}." for row in rows if row.reasons]


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.9547)
    '95.47%'
    """
    return f"{share:.2%}"


def whole_percent(share: float | None) -> str:
    """A share that reads 100% only when nothing is missing.

    >>> whole_percent(1.0), whole_percent(0.9999), whole_percent(0.0), whole_percent(None)
    ('100%', '99.9%', '0%', 'unknown')
    """
    if share is None:
        return "unknown"
    return f"{share:.0%}" if share in (0, 1) else f"{math.floor(share * 1000) / 10:.1f}%"


def points(difference: float) -> str:
    """A difference of shares in percentage points; the sign of zero is plus.

    >>> points(-0.0004), points(-0.00001)
    ('-0.04', '+0.00')
    """
    return f"{round(100 * difference, 2) + 0.0:+.2f}"


def kilobytes(size: int) -> str:
    """Bytes in thousands.

    >>> kilobytes(22_241)
    '22.2'
    """
    return f"{size / 1000:,.1f}"


def microseconds(time: float) -> str:
    """Three figures or more, never a fraction of a digit that nobody could measure.

    >>> microseconds(9.517), microseconds(83.25), microseconds(1234.5)
    ('9.52', '83.2', '1,234')
    """
    return f"{time:,.{0 if time >= 100 else 1 if time >= 10 else 2}f}"


def ratio(value: float) -> str:
    """A ratio to the baseline, finely enough that one just beyond its limit does not read as the limit.

    >>> ratio(0.2674)
    '0.267'
    """
    return f"{value:,.3f}"


def interval(value: float, bounds: Interval) -> str:
    """A ratio with its interval.

    >>> interval(0.912, (0.9, 0.931))
    '0.912 [0.900, 0.931]'
    """
    return f"{ratio(value)} [{', '.join(map(ratio, bounds))}]"


def verdict(row: Row) -> str:
    """The verdict in words, with the rules that do not hold, or the winner's mark."""
    if row.winner:
        return f"{row.verdict}, winner"
    return f"{row.verdict}: {', '.join(row.unmet)}" if row.unmet else row.verdict


def _row(card: Scorecard, decision: Decision) -> Row:
    paired, single = card.quality.vs_baseline, card.latency.batches["1"]
    judged = decision.verdict(card.variant)
    return Row(
        variant=card.variant,
        accuracy=card.quality.top1,
        delta=paired.delta,
        delta_ci=(judged and judged.accuracy_bounds) or paired.ci,
        vs_control=card.quality.vs_control,
        size_bytes=card.size.file_bytes,
        size_ratio=card.size.ratio,
        latency_us=single.p50_us,
        latency_ratio=single.ratio,
        latency_ratio_ci95=single.ratio_ci95,
        integer_weight_share=card.proof.integer_weight_share,
        verdict=judged.verdict if judged else "baseline",
        unmet=tuple(reason.rule for reason in judged.unmet) if judged else (),
        reasons=tuple(str(reason) for reason in judged.unmet) if judged else (),
        winner=card.variant == decision.winner,
    )
