"""The gate where the data have no labels: variants are judged by their agreement with the baseline, and by their SQNR.

The answers of the baseline take the place of labels, so `top1` of a scorecard is the agreement. The other rules are
those of `gate`.
"""

import math

from scipy.stats import binom, binomtest

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.policy import AgreementPolicy
from octavo.promotion import gate
from octavo.promotion.decision import Decision, Judgement, Reason, Rule, Verdict, outcome

POWER = 0.9
"""Chance to pass with the number of images that a reason names."""


def decide(scorecards: Scorecards, policy: AgreementPolicy, baseline: str) -> Decision:
    """Judge every variant against the baseline, and name the best that passes, in the order of `policy.prefer`.

    Args:
        scorecards: of the variants. In their quality, the labels are the baseline's answers.
        policy: to judge by.
        baseline: the variant that the others are measured against.

    Raises:
        VariantRefused: the baseline has no model.
        ModelError: the baseline was not measured.
    """
    against = scorecards.card(baseline)
    candidates = [card for card in scorecards.scorecards if card is not against]
    verdicts = (
        *(_judge(card, against, policy) for card in candidates),
        *(gate.refused(name, refusal) for name, refusal in scorecards.refused.items()),
    )
    decision = Decision(winner=None, baseline=baseline, policy=policy, verdicts=verdicts)
    return gate.with_winner(decision, scorecards)


def agreement(same: int, n: int, policy: AgreementPolicy) -> Reason:
    """The exact lower bound of the agreement must reach the limit.

    The bound is that of Clopper and Pearson (The use of confidence or fiducial limits illustrated in the case of the
    binomial, Biometrika 26 (1934), 404-413). It is missed if an agreement below the limit is shown, or if the images
    would have passed a better variant in nine cases of ten. With fewer images it is underpowered.

    Args:
        same: number of images with the baseline's answer.
        n: number of all images.
        policy: to judge by.
    """
    limit, confidence = policy.min_agreement, policy.confidence
    low = float(binomtest(same, n, alternative="greater").proportion_ci(confidence).low)
    high = float(binomtest(same, n, alternative="less").proportion_ci(confidence).high)
    found, needed = Judgement.OK, None
    if low < limit:
        found = Judgement.MISSED
        if high >= limit:
            needed = images_needed((n - same + 1) / (n + 2), limit, confidence)
            found = Judgement.UNDERPOWERED if n < needed else Judgement.MISSED
    return Reason(
        rule=Rule.AGREEMENT,
        value=low,
        limit=limit,
        found=found,
        interval=(low, high),
        needed=needed if found is Judgement.UNDERPOWERED else None,
    )


def images_needed(rate: float, limit: float, confidence: float = 0.95) -> int:
    """Images with which a variant passes in nine cases of ten that disagrees at `rate`, but at most half as often as
    the limit allows.

    Args:
        rate: of disagreement, as observed.
        limit: smallest agreement, below 1.
        confidence: one-sided.
    """
    rate = min(rate, (1 - limit) / 2)
    n = math.ceil(math.log(1 - confidence) / math.log(limit))
    while binom.cdf(_most(n, limit, confidence), n, rate) < POWER:
        n += math.ceil(n / 100)
    return n


def sqnr(card: Scorecard, policy: AgreementPolicy) -> Reason:
    """Signal-to-quantization-noise ratio of the outputs, compared with those of the float network."""
    value, limit = card.acceptance.sqnr_db if card.acceptance else None, policy.min_sqnr_db
    met = value is not None and value >= limit
    found = Judgement.OK if met else Judgement.UNKNOWN if value is None else Judgement.MISSED
    return Reason(rule=Rule.SQNR, value=value, limit=limit, found=found)


def _most(n: int, limit: float, confidence: float) -> int:
    """The most disagreements among `n` images with which the lower bound of the agreement reaches the limit; -1 if not
    even 0 will do.
    """
    most = int(binom.ppf(1 - confidence, n, 1 - limit))
    while most >= 0 and binom.cdf(most, n, 1 - limit) > 1 - confidence:
        most -= 1
    return most


def _judge(card: Scorecard, baseline: Scorecard, policy: AgreementPolicy) -> Verdict:
    paired, n = card.quality.vs_baseline, card.quality.n
    same = round(paired.agreement * n)
    reasons = (
        agreement(same, n, policy),
        sqnr(card, policy),
        *gate.unseen_by_test(card, baseline, policy),
    )
    return Verdict(variant=card.variant, verdict=outcome(reasons), reasons=reasons)
