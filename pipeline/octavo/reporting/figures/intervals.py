"""Each candidate's differences from the baseline with their intervals, one panel per figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.policy import AgreementPolicy, Policy
from octavo.project.schema import Interval
from octavo.promotion.decision import Decision, Outcome, Verdict
from octavo.reporting.figures.axes import Axis, spanning

WIDTH = 900
NAMES = 150
"""Pixels for the variants' names."""
TOP = 50
"""Position of the first variant's row."""
ROW = 30
"""Height of a variant's row."""
GAP = 40
"""Pixels between two panels."""


@dataclass(frozen=True)
class Measure:
    """One figure of every candidate, before the layout."""

    title: str
    values: list[tuple[float, Interval]]
    equal: float
    """The value of a variant equal to the baseline: 0 for a difference, 1 for a ratio."""
    limit: float | None
    rule: str | None
    """The gate's rule on this figure, if there is one."""


@dataclass(frozen=True)
class Mark:
    y: float
    at: float
    low: float
    high: float
    outcome: Outcome | None
    """The outcome of the gate's rule on this figure; None if there is no rule."""


@dataclass(frozen=True)
class Panel:
    title: str
    axis: Axis
    equal: float
    limit: float | None
    marks: list[Mark]


@dataclass(frozen=True)
class Intervals:
    names: list[tuple[float, str]]
    panels: list[Panel]
    bottom: float


def intervals(scorecards: Scorecards, decision: Decision) -> Intervals:
    """Accuracy difference and latency ratio of each candidate, with their bounds and the policy's limits."""
    cards = [card for card in scorecards.scorecards if card.variant != decision.baseline]
    verdicts = [_verdict(card, decision) for card in cards]
    measures = _measures(cards, verdicts, decision) if cards else []
    width = (WIDTH - NAMES) / max(1, len(measures))
    starts = [NAMES + place * width + GAP / 2 for place in range(len(measures))]
    panels = [_panel(measure, verdicts, start, width - GAP) for measure, start in zip(measures, starts, strict=True)]
    return Intervals([(_row(n), card.variant) for n, card in enumerate(cards)], panels, _row(len(cards)) - ROW / 2)


def _verdict(card: Scorecard, decision: Decision) -> Verdict:
    found = decision.verdict(card.variant)
    assert found, f"the decision has no verdict on {card.variant}"
    return found


def _measures(cards: Sequence[Scorecard], verdicts: Sequence[Verdict], decision: Decision) -> list[Measure]:
    pairs = [card.quality.vs_baseline for card in cards]
    bounds = [judged.accuracy_bounds or pair.ci for judged, pair in zip(verdicts, pairs, strict=True)]
    differences = [(100 * pair.delta, (100 * low, 100 * high)) for pair, (low, high) in zip(pairs, bounds, strict=True)]
    measures = [_answers(differences, decision.policy)]
    for batch in cards[0].latency.batches:
        timed = [card.latency.batches[batch] for card in cards]
        ratios = [(latency.ratio, latency.ratio_ci95) for latency in timed]
        judged = batch == "1"
        limit = decision.policy.max_latency_ratio if judged else None
        measures.append(Measure(f"Latency ratio, batch {batch}", ratios, 1, limit, "latency" if judged else None))
    return measures


def _answers(differences: list[tuple[float, Interval]], policy: Policy | AgreementPolicy) -> Measure:
    """Accuracy or, without labels, agreement. `differences` are in points, each with its bounds."""
    if isinstance(policy, AgreementPolicy):
        return Measure("Agreement, points", differences, 0, -100 * (1 - policy.min_agreement), "agreement")
    return Measure("Accuracy, points", differences, 0, -100 * policy.max_accuracy_drop, "accuracy")


def _panel(measure: Measure, verdicts: Sequence[Verdict], start: float, width: float) -> Panel:
    guides = [measure.equal] if measure.limit is None else [measure.equal, measure.limit]
    ends = [end for _, bounds in measure.values for end in bounds]
    axis = spanning(guides + ends, start, start + width, log=measure.equal == 1)
    marks = [
        Mark(_row(n), axis.at(value), axis.at(low), axis.at(high), _outcome(verdict, measure.rule))
        for n, ((value, (low, high)), verdict) in enumerate(zip(measure.values, verdicts, strict=True))
    ]
    limit = None if measure.limit is None else axis.at(measure.limit)
    return Panel(measure.title, axis, axis.at(measure.equal), limit, marks)


def _outcome(verdict: Verdict, rule: str | None) -> Outcome | None:
    return next((reason.outcome for reason in verdict.reasons if reason.rule == rule), None)


def _row(n: int) -> float:
    return TOP + n * ROW
