"""What a promotion is judged by: all of it, so that the same verdict can be found again from the record alone."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from octavo.evaluation.scorecard import Scorecards
from octavo.project.params.policy import Policy
from octavo.project.schema import Record
from octavo.promotion import contradictions, gate
from octavo.promotion.decision import Reason, Verdict, outcome
from octavo.tasks.quality import Paired

MIN_SAME_ANSWERS = 0.99
"""Share of the test images that must get the evaluated class again: another CPU may round a few otherwise."""


class Grounds(Record):
    """Everything that a verdict on one variant follows from."""

    variant: str
    baseline: str
    policy: Policy
    scorecards: Scorecards
    sure: Annotated[float, Field(gt=0, le=1 - 1e-12)] | None = None
    """One-sided confidence with which accuracy had to be shown to be kept, where that was more than the policy's: a
    night's, which judges the same test images again and again. See `lifetime`."""
    same_answers: float
    """Share of the test images that the registered bytes, loaded and run, gave the class that was evaluated."""
    beside: dict[str, Paired]
    """`champion` and `anchor`, as far as there are any: the variant against each, on today's test split."""
    not_compared: dict[str, str] = Field(default_factory=dict)
    """Of these two those that may have been trained on today's test split, and why that is not excluded."""
    damaged: dict[str, str] = Field(default_factory=dict)
    """Of these two those whose file is not what was registered, and what was found."""


def judge(grounds: Grounds) -> Verdict:
    """The gate's verdict on the variant, beside the baseline and beside the models in service.

    Raises:
        ModelError: the variant or the baseline was not measured.
    """
    card = grounds.scorecards.card(grounds.variant)
    sure = {} if grounds.sure is None else {card.variant: grounds.sure}
    decision = gate.decide(grounds.scorecards, grounds.policy, grounds.baseline, sure)
    measured = decision.verdict(card.variant)
    found = "ok" if grounds.same_answers >= MIN_SAME_ANSWERS else "missed"
    ran = Reason(rule="run", value=grounds.same_answers, limit=MIN_SAME_ANSWERS, code=f"same_answers_{found}")
    beside = [
        reason
        for against, paired in grounds.beside.items()
        for reason in gate.challenge(paired, grounds.policy, against, grounds.sure)
    ]
    unseen = [_incomparable("test split", against) for against in grounds.not_compared]
    damaged = [_incomparable("bytes", against) for against in grounds.damaged]
    reasons = (*(measured.reasons if measured else ()), ran, *beside, *unseen, *damaged)
    return Verdict(variant=card.variant, verdict=outcome(reasons) if measured else "fail", reasons=reasons)


def faults(grounds: Grounds) -> Iterator[str]:
    """What contradicts itself in these grounds, a clause each: figures that cannot all be true.

    Raises:
        ModelError: the variant or the baseline was not measured.
    """
    card, baseline = grounds.scorecards.card(grounds.variant), grounds.scorecards.card(grounds.baseline)
    found = [f"the baseline's {fault}" for fault in contradictions.contradictions(baseline, baseline)]
    found += contradictions.contradictions(card, baseline)
    yield from found
    if found:
        return
    n, same = card.quality.n, grounds.same_answers
    if not 0 <= same <= 1 or abs(same * n - round(same * n)) > contradictions.EXACT * n:
        yield f"same_answers is {same:g}, and no share of {n} images"
        return
    others = n - round(same * n)
    for alias, paired in grounds.beside.items():
        yield from contradictions.in_pair(paired, card.quality, f"beside the {alias}", others)
        if paired.per_class.keys() != card.quality.vs_baseline.per_class.keys():
            yield f"beside the {alias} are other classes"


def _incomparable(what: str, against: str) -> Reason:
    """The share of the test images that a model in service can be compared on is unknown, so it counts as 0."""
    return Reason(rule=f"{what} vs {against}", value=0, limit=1, code=f"{what.replace(' ', '_')}_incomparable")
