"""Which variant to ship, and why; and how many examples would prove it where the gate cannot decide."""

import math
from collections.abc import Mapping
from typing import Any

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.schema import Record
from octavo.promotion import gate
from octavo.promotion.decision import Decision, Verdict
from octavo.reporting.one_command.given import division
from octavo.reporting.variants_table import percent, ratio


class Shipping(Record):
    """What to ship."""

    ship: str
    """A variant. It is the baseline where no other is good enough."""
    proven: bool
    """Whether the gate passes it. The float model needs no proof."""
    why: str
    """One or two sentences."""
    more_test_images: int | None = None
    """How many more would decide, where the gate cannot."""


def choose(scorecards: Scorecards, decision: Decision, agreements: Mapping[str, float], whole: bool) -> Shipping:
    """What to ship.

    Args:
        scorecards: of all variants.
        decision: of the gate.
        agreements: variant -> share of selection images with the float model's answer. No test image is used to choose.
        whole: whether the test was taken from `--data`, and not given apart.
    """
    if decision.winner:
        return _winner(scorecards, decision, decision.winner)
    open_ = [verdict for verdict in decision.verdicts if verdict.verdict == "underpowered"]
    if not open_:
        return _baseline(decision, scorecards.data)

    def rank(verdict: Verdict) -> tuple[float | str, ...]:
        card = scorecards.card(verdict.variant)
        return (-agreements[verdict.variant], *gate.preference(card, decision.policy))

    best = min(open_, key=rank)
    have = scorecards.card(best.variant).quality.n
    more = max(reason.needed or 0 for reason in best.reasons) - have
    added = f", which is about {math.ceil(more / division.TEST):,} more in --data" if whole else ""
    why = (
        f"{best.variant} is the best by agreement, not proven: {more:,} more test images decide{added}. Nothing speaks "
        f"against it, but {have:,} test images are too few."
    )
    return Shipping(ship=best.variant, proven=False, why=why, more_test_images=more)


def _winner(scorecards: Scorecards, decision: Decision, name: str) -> Shipping:
    card, passing = scorecards.card(name), len(gate.ranking(scorecards, decision))
    order = ", ".join(decision.policy.prefer)
    order = order if decision.labelled else order.replace("accuracy", "agreement")
    among = f", the best of {passing} that do ({order} count in this order)" if passing > 1 else ""
    return Shipping(ship=name, proven=True, why=f"{name} meets every limit{among}: {_figures(card, decision)}.")


def _figures(card: Scorecard, decision: Decision) -> str:
    quality, times = card.quality, card.latency.batches["1"]
    kept = f"{percent(quality.vs_baseline.agreement)} of its answers are the float model's"
    if decision.labelled:
        kept = f"accuracy {percent(quality.top1)}, {kept}"
    return f"{kept}; {ratio(card.size.ratio)} of the bytes, {ratio(times.ratio)} of the time"


def _baseline(decision: Decision, data: Mapping[str, Any]) -> Shipping:
    if not decision.verdicts:
        return Shipping(ship=decision.baseline, proven=True, why="Nothing but the float model was asked for.")
    why = f"No variant meets the limits, so ship the float model, {decision.baseline}, as it is."
    majority = decision.majority
    if majority and majority.images == majority.n:
        why += (
            f" All test images are of class {majority.of}. Add images of other classes, or add --unlabelled to judge "
            "by the agreement with the float model."
        )
    elif majority and not majority.beaten:
        why += (
            " The float model itself is not shown to be better than one constant answer. Its input may need another "
            f"encoding{encoding_options(data)}, or its outputs may be in another order than the labels. Or there are "
            "too few test images."
        )
    return Shipping(ship=decision.baseline, proven=True, why=why)


def encoding_options(data: Mapping[str, Any]) -> str:
    """The options of the encoding, and what they start from."""
    if data.get("dtype") != "float32":
        return " (--scale, --mean, --std, --layout)"
    low, high = data["pixel_range"]
    return f": examples are float32 from {low:g} to {high:g} (--mean, --std, --layout)"
