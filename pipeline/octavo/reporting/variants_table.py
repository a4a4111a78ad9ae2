"""The variants table: one row per variant, and the format of its figures."""

import math
from collections.abc import Sequence

from octavo.backends.records import Acceptance
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.schema import Interval, Record
from octavo.promotion.decision import Decision
from octavo.tasks.quality import Paired

HEADERS = (
    "variant",
    "accuracy",
    "points vs baseline",
    "size, kB",
    "ratio",
    "p50, µs",
    "ratio",
    "SQNR, dB",
    "int8 weights",
    "verdict",
)


AGREEMENT = {"accuracy": "agreement"}
"""Headers where the data have no labels."""


class VariantLine(Record):
    """What is shown of every variant."""

    variant: str
    verdict: str
    """`baseline`, `pass`, `fail`, `underpowered` or `refused`."""
    unmet: tuple[str, ...]
    """The rules that are not met, or the cause of the refusal."""
    undecided: tuple[str, ...] = ()
    """Those of them that need more images: neither is shown, that they are met or that they are not."""
    reasons: tuple[str, ...]
    """Their findings, with figure and limit."""
    winner: bool
    sqnr_db: float | None
    """Of the outputs, compared with the network that it was made of; None if it was not recorded."""


class Row(VariantLine):
    """The figures of one variant that has a model. Latency is that of batch 1."""

    accuracy: float
    delta: float
    delta_ci: Interval
    """The bounds that were judged."""
    vs_control: Paired | None
    """For a quantization-aware variant: the comparison with the float network that trained for as long."""
    size_bytes: int
    size_ratio: float
    latency_us: float
    latency_ratio: float
    latency_ratio_ci95: Interval
    integer_weight_share: float | None
    """None if it is unknown."""


def headers(decision: Decision) -> tuple[str, ...]:
    """The headers of the table. Without labels in the data, accuracy is agreement with the baseline."""
    return HEADERS if decision.labelled else tuple(AGREEMENT.get(header, header) for header in HEADERS)


def table(scorecards: Scorecards, decision: Decision) -> list[Row]:
    """One row for each measured variant, in the order of `params.yaml`."""
    return [_row(card, decision) for card in scorecards.scorecards]


def refused(scorecards: Scorecards) -> list[VariantLine]:
    """One line for each variant without a model, in the order of `params.yaml`."""
    return [
        VariantLine(
            variant=name,
            verdict="refused",
            unmet=(refusal.cause,),
            reasons=(str(refusal),),
            winner=False,
            sqnr_db=refusal.acceptance.sqnr_db if refusal.acceptance else None,
        )
        for name, refusal in scorecards.refused.items()
    ]


def cells(line: VariantLine) -> tuple[str, ...]:
    """The texts of a line, one for each of `HEADERS`."""
    noise = "" if line.sqnr_db is None else decibels(line.sqnr_db)
    if not isinstance(line, Row):
        return (line.variant, *[""] * 6, noise, "", verdict(line))
    is_baseline = line.verdict == "baseline"
    return (
        line.variant,
        percent(line.accuracy),
        "" if is_baseline else f"{points(line.delta)} [{', '.join(map(points, line.delta_ci))}]",
        kilobytes(line.size_bytes),
        ratio(line.size_ratio),
        microseconds(line.latency_us),
        ratio(line.latency_ratio) if is_baseline else interval(line.latency_ratio, line.latency_ratio_ci95),
        noise,
        whole_percent(line.integer_weight_share),
        verdict(line),
    )


def gains(lines: Sequence[VariantLine]) -> list[str]:
    """What quantization-aware training gained beyond more training, one line for each variant made by it."""
    return [
        f"QAT beyond more training: {row.variant} {points(row.vs_control.delta)} points, "
        f"95% interval [{', '.join(map(points, row.vs_control.ci))}]"
        for row in lines
        if isinstance(row, Row) and row.vs_control
    ]


def warnings(decision: Decision) -> list[str]:
    """What makes all verdicts worthless, one sentence each."""
    majority = decision.majority
    if majority is None or majority.beaten:
        return []
    if majority.images == majority.n:
        said = (
            f"All {majority.n:,} test images are of class {majority.of}, so the same answer to every image is right on "
            "all of them, and accuracy proves nothing. Give images of other classes too."
        )
        return [said]
    needed = f"{majority.needed:,} right are needed to show it" if majority.needed <= majority.n else "more are needed"
    said = (
        f"Baseline {decision.baseline} does not beat the majority class: it is right on {majority.right:,} of "
        f"{majority.n:,} test images, {majority.images:,} are of class {majority.of} alone, and {needed} with "
        f"{100 * majority.confidence:g}% confidence (exact one-sided test, p = {majority.p_value:.2g}). A variant of "
        "it loses nothing because there is nothing to lose, so none is promoted unless forced."
    )
    return [said]


def findings(lines: Sequence[VariantLine]) -> list[str]:
    """Why variants did not pass, in one or two sentences; once for all that have the same reasons."""
    found: dict[tuple[str, ...], list[str]] = {}
    for line in lines:
        if line.reasons:
            found.setdefault((line.verdict, *line.reasons), []).append(line.variant)
    return [
        f"{verdict.capitalize()} {', '.join(names)}: {'; '.join(reasons).rstrip('.')}."
        for (verdict, *reasons), names in found.items()
    ]


def outputs(found: Acceptance) -> dict[str, str]:
    """The comparison of a file's outputs with its network's, by the name of each figure."""
    unknown = f" ({found.unmatched_weights:,} unknown)" if found.unmatched_weights else ""
    return {
        "SQNR, dB": f"{decibels(found.sqnr_db)}, at least {found.min_sqnr_db:g}",
        "relative RMS error": "not finite" if found.relative_rms_error is None else f"{found.relative_rms_error:.3g}",
        "same class": percent(found.agreement),
        "values not finite": f"{found.non_finite:,}",
        "clipped biases": f"{found.clipped_biases:,}",
        "clipped weights": f"{found.clipped_weights:,}{unknown}",
    }


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.9547)
    '95.47%'
    """
    return f"{share:.2%}"


def whole_percent(share: float | None) -> str:
    """A share that reads 100% only if nothing is missing.

    >>> whole_percent(1.0), whole_percent(0.9999), whole_percent(0.0), whole_percent(None)
    ('100%', '99.9%', '0%', 'unknown')
    """
    if share is None:
        return "unknown"
    return f"{share:.0%}" if share in (0, 1) else f"{math.floor(share * 1000) / 10:.1f}%"


def points(difference: float) -> str:
    """A difference of shares in percentage points. Zero has a plus sign.

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
    """A time with three digits or more, but none that cannot be measured.

    >>> microseconds(9.517), microseconds(83.25), microseconds(1234.5)
    ('9.52', '83.2', '1,234')
    """
    return f"{time:,.{0 if time >= 100 else 1 if time >= 10 else 2}f}"


def ratio(value: float) -> str:
    """A ratio to the baseline, with enough digits that one just above its limit does not read as the limit.

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


def decibels(value: float) -> str:
    """A signal-to-noise ratio. 200 dB and more mean no noise.

    >>> decibels(43.278), decibels(200.0)
    ('43.3', '∞')
    """
    return "∞" if value >= 200 else f"{value:.1f}"


def verdict(line: VariantLine) -> str:
    """The verdict in words, with the rules that are not met, or the winner's mark."""
    if line.winner:
        return f"{line.verdict}, winner"
    failing = [rule for rule in line.unmet if rule not in line.undecided]
    if failing and line.undecided:
        return f"{line.verdict}: {', '.join(failing)}; undecided: {', '.join(line.undecided)}"
    return f"{line.verdict}: {', '.join(line.unmet)}" if line.unmet else line.verdict


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
        sqnr_db=card.acceptance.sqnr_db if card.acceptance else None,
        integer_weight_share=card.proof.integer_weight_share,
        verdict=judged.verdict if judged else "baseline",
        unmet=tuple(reason.name for reason in judged.unmet) if judged else (),
        undecided=tuple(reason.name for reason in judged.unmet if reason.needed) if judged else (),
        reasons=tuple(str(reason) for reason in judged.unmet) if judged else (),
        winner=card.variant == decision.winner,
    )
