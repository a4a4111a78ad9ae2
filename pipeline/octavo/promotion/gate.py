"""The gate: scorecards and a policy in, a decision with its reasons out. Pure.

A rule is a function from what was measured and the policy to one reason. Adding a rule is one function and its place
in `_judge`.
"""

from collections.abc import Callable, Mapping

from octavo.backends.records import Refusal
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.errors import ModelError, ParamsError
from octavo.project.params.policy import Figure, Policy
from octavo.promotion.decision import Decision, Majority, Reason, Verdict, outcome
from octavo.promotion.majority import against_majority
from octavo.statistics.noninferiority import images_needed, lower_bound, upper_bound
from octavo.tasks.quality import Paired

PREFERENCES: Mapping[Figure, Callable[[Scorecard], float]] = {
    "latency": lambda card: card.latency.batches["1"].ratio,
    "size": lambda card: card.size.file_bytes,
    "accuracy": lambda card: -card.quality.top1,
}
"""What is least in the best."""
NOT_SURER: Mapping[str, float] = {}
"""Every variant is judged with the policy's own confidence."""


def decide(scorecards: Scorecards, policy: Policy, baseline: str, sure: Mapping[str, float] = NOT_SURER) -> Decision:
    """Judge every variant against the baseline and name the best that passes, by the order of `policy.prefer`.

    Args:
        scorecards: of the variants.
        policy: to judge by.
        baseline: the variant that the others are measured against.
        sure: variant -> one-sided confidence with which its accuracy must be shown to be kept, where that is more than
            `policy.confidence`.

    Raises:
        VariantRefused: the baseline has no model.
        ModelError: the baseline was not measured, or images were not counted class by class.
        ParamsError: the policy limits a class that there is not.
    """
    against = scorecards.card(baseline)
    candidates = [card for card in scorecards.scorecards if card is not against]
    majority = against_majority(against, scorecards.classes, policy.confidence)
    common = () if majority.beaten else (beats_majority(majority),)
    measured = (_judge(card, against, policy, common, sure.get(card.variant)) for card in candidates)
    verdicts = (*measured, *(_refuse(name, refusal) for name, refusal in scorecards.refused.items()))
    decision = Decision(winner=None, baseline=baseline, policy=policy, verdicts=verdicts, majority=majority)
    return decision.model_copy(update={"winner": next(iter(ranking(scorecards, decision)), None)})


def ranking(scorecards: Scorecards, decision: Decision) -> list[str]:
    """Variants that pass, the best first."""
    passing = [scorecards.card(verdict.variant) for verdict in decision.verdicts if verdict.verdict == "pass"]
    return [card.variant for card in sorted(passing, key=lambda card: _preference(card, decision.policy))]


def challenge(paired: Paired, policy: Policy, against: str, sure: float | None = None) -> tuple[Reason, ...]:
    """Judge a variant beside a model in service.

    Accuracy and recall are held to the limits that hold against the baseline; size and latency are the baseline's
    affair. `decision.outcome` makes one word of the reasons.

    Args:
        paired: the variant beside that model.
        policy: to judge by.
        against: which model that is, the champion or the anchor.
        sure: as `accuracy` takes it.

    Raises:
        ModelError: images were not counted class by class.
        ParamsError: the policy limits a class that there is not.
    """
    reasons = (accuracy(paired, policy, sure), recall(paired, policy))
    return tuple(reason.model_copy(update={"rule": f"{reason.rule} vs {against}"}) for reason in reasons)


def unseen_by_test(card: Scorecard, baseline: Scorecard, policy: Policy) -> tuple[Reason, ...]:
    """What the rules say that no test image has a part in: on bytes, time and integers."""
    return size(card, policy), latency(card, baseline, policy), integers(card, policy)


def accuracy(paired: Paired, policy: Policy, sure: float | None = None) -> Reason:
    """Paired non-inferiority of top-1: the drop that cannot be excluded must be below the limit.

    It fails where a drop beyond the limit is shown, or where the test images would have passed a variant without loss
    in nine cases of ten. With fewer images it is underpowered. That number follows from the discordance rate, smoothed
    so that it is never 0: (discordant + 1) / (images + 2).

    Args:
        paired: the variant beside its reference.
        policy: to judge by.
        sure: one-sided confidence with which accuracy must be shown to be kept, where that is more than
            `policy.confidence`. That it is lost is shown with the policy's all the same: this promotes nothing.

    Raises:
        ModelError: images were not counted class by class.
    """
    limit, n = policy.max_accuracy_drop, sum(images for _, _, images in _by_class(paired).values())
    confidence = max(policy.confidence, sure or 0.0)
    low = lower_bound(paired.broke, paired.fixed, n, confidence)
    high = upper_bound(paired.broke, paired.fixed, n, policy.confidence)
    found, needed = "ok", None
    if low <= -limit:
        found = "exceeded"
        if high >= -limit:
            rate = (paired.broke + paired.fixed + 1) / (n + 2)
            needed = images_needed(rate, limit, confidence)
            found = "underpowered" if n < needed else "exceeded"
    return Reason(
        rule="accuracy",
        value=0.0 - low,
        limit=limit,
        code=f"accuracy_drop_{found}",
        interval=(0.0 - high, 0.0 - low),
        needed=needed if found == "underpowered" else None,
    )


def recall(paired: Paired, policy: Policy) -> Reason:
    """No class may be shown to have lost more recall than its limit: the drop shown of the class nearest to that.

    Shown means by the exact bound of its paired difference, at a level divided by the number of classes: the first
    step of Holm's procedure, which alone decides whether there is any such class. So if no class has lost more than
    its limit, all of them are cleared together with at least the policy's confidence. The reverse, to show of each
    class that it has not, is out of reach of the 36 images a class of a small test split. Where no drop is shown it
    is 0. Source: S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics
    6 (1979), 65-70.

    Raises:
        ModelError: images were not counted class by class.
        ParamsError: the policy limits a class that there is not.
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
    found = "exceeded" if shown[worst] > limits[worst] else "ok"
    return Reason(rule="recall", value=shown[worst], limit=limits[worst], code=f"recall_drop_{found}", of=worst)


def size(card: Scorecard, policy: Policy) -> Reason:
    """File bytes over the baseline's."""
    value, limit = card.size.ratio, policy.max_size_ratio
    return Reason(rule="size", value=value, limit=limit, code=f"size_ratio_{'ok' if value <= limit else 'exceeded'}")


def latency(card: Scorecard, baseline: Scorecard, policy: Policy) -> Reason:
    """Time for one image over the baseline's, by the upper end of its interval.

    Where the two were not timed on one machine, or it was not recorded, the ratio can be anything, and is refused;
    timing them again costs little.
    """
    single, limit = card.latency.batches["1"], policy.max_latency_ratio
    value = single.ratio_ci95[1]
    found = "ok" if value <= limit else "exceeded"
    if card.latency.machine is None or card.latency.machine != baseline.latency.machine:
        found = "incomparable"
    return Reason(rule="latency", value=value, limit=limit, code=f"latency_ratio_{found}", interval=single.ratio_ci95)


def integers(card: Scorecard, policy: Policy) -> Reason:
    """Share of multiply-accumulates in integer kernels; a share that is unknown meets no limit but 0."""
    value, limit = card.proof.integer_compute_share, policy.min_integer_compute_share
    met = limit <= (0 if value is None else value)
    found = "ok" if met else "unknown" if value is None else "missed"
    return Reason(rule="integers", value=value, limit=limit, code=f"integer_compute_{found}")


def beats_majority(majority: Majority) -> Reason:
    """The baseline must be shown to be better than the constant answer, else to lose nothing is worth nothing."""
    found = "ok" if majority.beaten else "missed"
    value, limit = majority.right / majority.n, majority.needed / majority.n
    return Reason(rule="baseline", value=value, limit=limit, code=f"baseline_accuracy_{found}")


def _judge(
    card: Scorecard, baseline: Scorecard, policy: Policy, common: tuple[Reason, ...], sure: float | None
) -> Verdict:
    paired = card.quality.vs_baseline
    judged = (accuracy(paired, policy, sure), recall(paired, policy))
    reasons = (*judged, *unseen_by_test(card, baseline, policy), *common)
    return Verdict(variant=card.variant, verdict=outcome(reasons), reasons=reasons)


def _refuse(variant: str, refusal: Refusal) -> Verdict:
    """The verdict on a variant that has no model, with the figure that it was refused for, if there is one."""
    found, reasons = refusal.acceptance, tuple[Reason, ...]()
    if found and refusal.cause == "low SQNR":
        reasons = (Reason(rule="sqnr", value=found.sqnr_db, limit=found.min_sqnr_db, code="sqnr_db_missed"),)
    if found and refusal.cause == "not finite":
        reasons = (Reason(rule="finite", value=found.non_finite, limit=0, code="values_not_finite_exceeded"),)
    return Verdict(variant=variant, verdict="refused", reasons=reasons, refused=str(refusal))


def _by_class(paired: Paired) -> Mapping[str, tuple[int, int, int]]:
    if not paired.per_class:
        raise ModelError("The scorecards do not count images class by class. Run dvc repro to measure again.")
    return paired.per_class


def _preference(card: Scorecard, policy: Policy) -> tuple[float | str, ...]:
    return (*(PREFERENCES[figure](card) for figure in policy.prefer), card.variant)
