"""The grounds of a promotion: everything that its verdict follows from, so that it can be repeated from the record
alone.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from octavo.evaluation.scorecard import Scorecards
from octavo.project.params.policy import Policy
from octavo.project.schema import Record
from octavo.promotion import contradictions, gate
from octavo.promotion.decision import Judgement, Reason, Rule, Verdict, outcome
from octavo.tasks.quality import Paired

MIN_SAME_ANSWERS = 0.99
"""Share of the test images that must get the same class as in the evaluation. Another CPU may round a few
differently.
"""


class Grounds(Record):
    """Everything that a verdict on one variant follows from."""

    variant: str
    baseline: str
    policy: Policy
    scorecards: Scorecards
    sure: Annotated[float, Field(gt=0, le=1 - 1e-12)] | None = None
    """One-sided confidence with which accuracy must be shown to be kept, if it is above the policy's. A night uses
    more, because it judges by the same test images again and again. See `lifetime`.
    """
    same_answers: float
    """Share of the test images for which the registered bytes, when run, gave the class of the evaluation."""
    beside: dict[str, Paired]
    """`champion` and `anchor`, if they exist: the variant compared with each, on today's test split."""
    not_compared: dict[str, str] = Field(default_factory=dict)
    """Those of the two that may have been trained on today's test split, and why that cannot be excluded."""
    damaged: dict[str, str] = Field(default_factory=dict)
    """Those of the two whose file differs from the registered one, and how."""


def judge(grounds: Grounds) -> Verdict:
    """The gate's verdict on the variant, beside the baseline and the models in service.

    Raises:
        ModelError: the variant or the baseline was not measured.
    """
    card = grounds.scorecards.card(grounds.variant)
    sure = {} if grounds.sure is None else {card.variant: grounds.sure}
    decision = gate.decide(grounds.scorecards, grounds.policy, grounds.baseline, sure)
    measured = decision.verdict(card.variant)
    found = Judgement.OK if grounds.same_answers >= MIN_SAME_ANSWERS else Judgement.MISSED
    ran = Reason(rule=Rule.RUN, value=grounds.same_answers, limit=MIN_SAME_ANSWERS, found=found)
    beside = [
        reason
        for against, paired in grounds.beside.items()
        for reason in gate.challenge(paired, grounds.policy, against, grounds.sure)
    ]
    unseen = [_incomparable(Rule.TEST_SPLIT, against) for against in grounds.not_compared]
    damaged = [_incomparable(Rule.BYTES, against) for against in grounds.damaged]
    reasons = (*(measured.reasons if measured else ()), ran, *beside, *unseen, *damaged)
    return Verdict(variant=card.variant, verdict=outcome(reasons) if measured else "fail", reasons=reasons)


def faults(grounds: Grounds) -> Iterator[str]:
    """The contradictions in these grounds, one clause each: figures that cannot all be true.

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


def _incomparable(rule: Rule, against: str) -> Reason:
    """A reason that is not met: the share of test images on which a model in service can be compared counts as 0."""
    return Reason(rule=rule, against=against, value=0, limit=1, found=Judgement.INCOMPARABLE)
