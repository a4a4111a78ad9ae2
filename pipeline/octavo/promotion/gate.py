"""The gate: a pure function from scorecards and a policy to a decision with its reasons.

A rule is a function from measurements and the policy to one reason. To add a rule, add one function and call it in
`_judge`.
"""

from collections.abc import Callable, Mapping

from octavo.backends.records import Refusal
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.errors import ModelError, ParamsError
from octavo.project.params.policy import AgreementPolicy, Figure, Policy
from octavo.promotion.decision import Decision, Judgement, Majority, Reason, Rule, Verdict, outcome
from octavo.promotion.majority import against_majority
from octavo.statistics.noninferiority import images_needed, lower_bound, upper_bound
from octavo.tasks.quality import Paired

PREFERENCES: Mapping[Figure, Callable[[Scorecard], float]] = {
    "latency": lambda card: card.latency.batches["1"].ratio,
    "size": lambda card: card.size.file_bytes,
    "accuracy": lambda card: -card.quality.top1,
}
"""The figure that is smallest in the best variant."""
Limits = Policy | AgreementPolicy
NOT_SURER: Mapping[str, float] = {}
"""Every variant is judged with the policy's own confidence."""


def decide(scorecards: Scorecards, policy: Policy, baseline: str, sure: Mapping[str, float] = NOT_SURER) -> Decision:
    """Judge every variant against the baseline, and name the best that passes, in the order of `policy.prefer`.

    Args:
        scorecards: of the variants.
        policy: to judge by.
        baseline: the variant that the others are measured against.
        sure: variant -> one-sided confidence with which its accuracy must be shown to be kept, if it is above
            `policy.confidence`.

    Raises:
        VariantRefused: the baseline has no model.
        ModelError: the baseline was not measured, or images were not counted by class.
        ParamsError: the policy limits a class that does not exist.
    """
    against = scorecards.card(baseline)
    candidates = [card for card in scorecards.scorecards if card is not against]
    majority = against_majority(against, scorecards.classes, policy.confidence)
    common = () if majority.beaten else (beats_majority(majority),)
    measured = (_judge(card, against, policy, common, sure.get(card.variant)) for card in candidates)
    verdicts = (*measured, *(refused(name, refusal) for name, refusal in scorecards.refused.items()))
    decision = Decision(winner=None, baseline=baseline, policy=policy, verdicts=verdicts, majority=majority)
    return with_winner(decision, scorecards)


def with_winner(decision: Decision, scorecards: Scorecards) -> Decision:
    """The decision with the best variant that passes as its winner."""
    return decision.model_copy(update={"winner": next(iter(ranking(scorecards, decision)), None)})


def ranking(scorecards: Scorecards, decision: Decision) -> list[str]:
    """Variants that pass, the best first."""
    passing = [scorecards.card(verdict.variant) for verdict in decision.verdicts if verdict.verdict == "pass"]
    return [card.variant for card in sorted(passing, key=lambda card: preference(card, decision.policy))]


def challenge(paired: Paired, policy: Policy, against: str, sure: float | None = None) -> tuple[Reason, ...]:
    """Judge a variant against a model in service.

    Accuracy and recall have the same limits as against the baseline. Size and latency are judged only against the
    baseline. `decision.outcome` combines the reasons.

    Args:
        paired: the comparison of the variant with that model.
        policy: to judge by.
        against: the model in service: champion or anchor.
        sure: as in `accuracy`.

    Raises:
        ModelError: images were not counted by class.
        ParamsError: the policy limits a class that does not exist.
    """
    reasons = (accuracy(paired, policy, sure), recall(paired, policy))
    return tuple(reason.model_copy(update={"against": against}) for reason in reasons)


def unseen_by_test(card: Scorecard, baseline: Scorecard, policy: Limits) -> tuple[Reason, ...]:
    """The rules that no test image influences: on bytes, time and integers.

    Args:
        card: of the variant.
        baseline: of the baseline.
        policy: to judge by.
    """
    return size(card, policy), latency(card, baseline, policy), integers(card, policy)


def accuracy(paired: Paired, policy: Policy, sure: float | None = None) -> Reason:
    """Paired non-inferiority of top-1 accuracy: the drop that cannot be excluded must be below the limit.

    It fails if a drop beyond the limit is shown, or if the test images would have passed a variant without loss in nine
    cases of ten. With fewer images it is underpowered. That number follows from the discordance rate, smoothed so that
    it
    is never 0: (discordant + 1) / (images + 2).

    Args:
        paired: the comparison of the variant with its reference.
        policy: to judge by.
        sure: one-sided confidence with which accuracy must be shown to be kept, if it is above `policy.confidence`. A
            loss is still shown with the policy's confidence, because it promotes nothing.

    Raises:
        ModelError: images were not counted by class.
    """
    limit, n = policy.max_accuracy_drop, sum(images for _, _, images in _by_class(paired).values())
    confidence = max(policy.confidence, sure or 0.0)
    low = lower_bound(paired.broke, paired.fixed, n, confidence)
    high = upper_bound(paired.broke, paired.fixed, n, policy.confidence)
    found, needed = Judgement.OK, None
    if low <= -limit:
        found = Judgement.EXCEEDED
        if high >= -limit:
            rate = (paired.broke + paired.fixed + 1) / (n + 2)
            needed = images_needed(rate, limit, confidence)
            found = Judgement.UNDERPOWERED if n < needed else Judgement.EXCEEDED
    return Reason(
        rule=Rule.ACCURACY,
        value=0.0 - low,
        limit=limit,
        found=found,
        interval=(0.0 - high, 0.0 - low),
        needed=needed if found is Judgement.UNDERPOWERED else None,
    )


def recall(paired: Paired, policy: Policy) -> Reason:
    """No class may be shown to have lost more recall than its limit. The result is the class that comes nearest to
    that.

    A loss is shown by the exact bound of the class's paired difference, at a level divided by the number of classes.
    This is the first step of Holm's procedure, which alone decides whether there is any such class. So if no class has
    lost more than its limit, all classes are cleared together with at least the policy's confidence. The reverse, to
    show for each class that it has lost no more, is impossible with the 36 images per class of a small test split. If
    no loss is shown,
    the value is 0. Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979), 65-70.

    Raises:
        ModelError: images were not counted by class.
        ParamsError: the policy limits a class that does not exist.
    """
    classes = _by_class(paired)
    if unknown := policy.recall_drops.keys() - classes.keys():
        raise ParamsError(
            f"policy.recall_drops limits the class {', '.join(sorted(unknown))}. Known: {', '.join(classes)}."
        )
    seen = {name: counts for name, counts in classes.items() if counts[2]}
    limits = {name: policy.recall_drops.get(name, policy.max_recall_drop) for name in seen}
    observed = {name: (broke - fixed) / images - limits[name] for name, (broke, fixed, images) in seen.items()}
    suspects = [name for name in seen if observed[name] > 0] or [max(seen, key=lambda name: observed[name])]
    confidence = 1 - (1 - policy.confidence) / len(seen)
    shown = {name: max(0.0, -upper_bound(*seen[name], confidence)) for name in suspects}
    worst = max(suspects, key=lambda name: shown[name] - limits[name])
    found = Judgement.EXCEEDED if shown[worst] > limits[worst] else Judgement.OK
    return Reason(rule=Rule.RECALL, value=shown[worst], limit=limits[worst], found=found, of=worst)


def size(card: Scorecard, policy: Limits) -> Reason:
    """File bytes divided by the baseline's."""
    value, limit = card.size.ratio, policy.max_size_ratio
    return Reason(
        rule=Rule.SIZE, value=value, limit=limit, found=Judgement.OK if value <= limit else Judgement.EXCEEDED
    )


def latency(card: Scorecard, baseline: Scorecard, policy: Limits) -> Reason:
    """Time for one image divided by the baseline's, judged by the upper end of its interval.

    If the two were not timed on one machine, or the machine is unknown, the ratio has no meaning and the rule is not
    met. Another measurement costs little.

    Args:
        card: of the variant.
        baseline: of the baseline.
        policy: to judge by.
    """
    single, limit = card.latency.batches["1"], policy.max_latency_ratio
    value = single.ratio_ci95[1]
    found = Judgement.OK if value <= limit else Judgement.EXCEEDED
    if card.latency.machine is None or card.latency.machine != baseline.latency.machine:
        found = Judgement.INCOMPARABLE
    return Reason(rule=Rule.LATENCY, value=value, limit=limit, found=found, interval=single.ratio_ci95)


def integers(card: Scorecard, policy: Limits) -> Reason:
    """Share of multiply-accumulates in integer kernels. An unknown share meets no limit except 0."""
    value, limit = card.proof.integer_compute_share, policy.min_integer_compute_share
    met = limit <= (0 if value is None else value)
    found = Judgement.OK if met else Judgement.UNKNOWN if value is None else Judgement.MISSED
    return Reason(rule=Rule.INTEGERS, value=value, limit=limit, found=found)


def beats_majority(majority: Majority) -> Reason:
    """The baseline must be shown to be better than the constant answer. Otherwise it is worth nothing to lose
    nothing.
    """
    found = Judgement.OK if majority.beaten else Judgement.MISSED
    value, limit = majority.right / majority.n, majority.needed / majority.n
    return Reason(rule=Rule.BASELINE, value=value, limit=limit, found=found)


def _judge(
    card: Scorecard, baseline: Scorecard, policy: Policy, common: tuple[Reason, ...], sure: float | None
) -> Verdict:
    paired = card.quality.vs_baseline
    judged = (accuracy(paired, policy, sure), recall(paired, policy))
    reasons = (*judged, *unseen_by_test(card, baseline, policy), *common)
    return Verdict(variant=card.variant, verdict=outcome(reasons), reasons=reasons)


def refused(variant: str, refusal: Refusal) -> Verdict:
    """The verdict on a variant without a model, with the figure that caused its refusal, if there is one."""
    tried, reasons = refusal.acceptance, tuple[Reason, ...]()
    if tried and refusal.cause == "low SQNR":
        reasons = (Reason(rule=Rule.SQNR, value=tried.sqnr_db, limit=tried.min_sqnr_db, found=Judgement.MISSED),)
    if tried and refusal.cause == "not finite":
        reasons = (Reason(rule=Rule.FINITE, value=tried.non_finite, limit=0, found=Judgement.EXCEEDED),)
    return Verdict(variant=variant, verdict="refused", reasons=reasons, refused=str(refusal))


def _by_class(paired: Paired) -> Mapping[str, tuple[int, int, int]]:
    if not paired.per_class:
        raise ModelError("The scorecards do not count images class by class. Run dvc repro to measure again.")
    return paired.per_class


def preference(card: Scorecard, policy: Limits) -> tuple[float | str, ...]:
    """Sorts variants, the best first, in the order of `policy.prefer`."""
    return (*(PREFERENCES[figure](card) for figure in policy.prefer), card.variant)
