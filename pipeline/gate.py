"""The gate: scorecards and a policy in, a decision with its reasons out. Pure.

A rule is a function from a scorecard and the policy to one reason. Adding a rule is one function and its place in
`RULES`.
"""

from collections.abc import Callable

from pipeline.decision import Decision, Reason, Verdict
from pipeline.params import Policy
from pipeline.scorecard import Scorecard, Scorecards

Rule = Callable[[Scorecard, Policy], Reason]


def accuracy(card: Scorecard, policy: Policy) -> Reason:
    """Top-1 lost against the baseline."""
    return _at_most("accuracy", "accuracy_drop", 0.0 - card.quality.vs_baseline.delta, policy.max_accuracy_drop)


def size(card: Scorecard, policy: Policy) -> Reason:
    """File bytes over the baseline's."""
    return _at_most("size", "size_ratio", card.size.ratio, policy.max_size_ratio)


def latency(card: Scorecard, policy: Policy) -> Reason:
    """Time for one image over the baseline's."""
    return _at_most("latency", "latency_ratio", card.latency.batches["1"].ratio, policy.max_latency_ratio)


def integers(card: Scorecard, policy: Policy) -> Reason:
    """Share of multiply-accumulates in integer kernels."""
    value, limit = card.proof.integer_compute_share, policy.min_integer_compute_share
    return Reason(
        rule="integers", value=value, limit=limit, code=f"integer_compute_{'ok' if value >= limit else 'missed'}"
    )


RULES: tuple[Rule, ...] = (accuracy, size, latency, integers)


def decide(scorecards: Scorecards, policy: Policy, baseline: str) -> Decision:
    """Judge every variant against the baseline and name the best that passes.

    The winner is the passing variant with the smallest latency ratio, then the smallest file, then the best accuracy.

    Raises:
        ModelError: the baseline was not measured.
    """
    against = scorecards.card(baseline)
    candidates = [card for card in scorecards.scorecards if card is not against]
    verdicts = tuple(_judge(card, policy) for card in candidates)
    passing = [card for card, verdict in zip(candidates, verdicts, strict=True) if verdict.verdict == "pass"]
    winner = min(passing, key=_preference).variant if passing else None
    return Decision(winner=winner, baseline=baseline, policy=policy, verdicts=verdicts)


def _judge(card: Scorecard, policy: Policy) -> Verdict:
    reasons = tuple(rule(card, policy) for rule in RULES)
    return Verdict(
        variant=card.variant, verdict="pass" if all(reason.met for reason in reasons) else "fail", reasons=reasons
    )


def _at_most(rule: str, figure: str, value: float, limit: float) -> Reason:
    return Reason(rule=rule, value=value, limit=limit, code=f"{figure}_{'ok' if value <= limit else 'exceeded'}")


def _preference(card: Scorecard) -> tuple[float, int, float, str]:
    return card.latency.batches["1"].ratio, card.size.file_bytes, -card.quality.top1, card.variant
