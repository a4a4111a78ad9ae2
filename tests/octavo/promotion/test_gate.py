"""The gate: what passes, why the rest does not, and which of those that pass wins."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.errors import ModelError, ParamsError, VariantRefused
from octavo.project.params.policy import Policy
from octavo.promotion.decision import Decision, Reason, load_decision, outcome
from octavo.promotion.gate import accuracy, challenge, decide, recall
from octavo.statistics.noninferiority import chance_to_pass, lower_bound
from octavo.tasks.quality import Paired

LAWS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
POLICIES = st.builds(
    Policy,
    max_accuracy_drop=st.sampled_from([0.01, 0.02]),
    max_recall_drop=st.floats(0, 0.5),
    max_size_ratio=st.floats(0.01, 2),
    max_latency_ratio=st.floats(0.01, 5),
    min_integer_compute_share=st.floats(0, 1),
    prefer=st.permutations(["latency", "size", "accuracy"]),
)


def paired(broke: int, fixed: int, n: int, **per_class: tuple[int, int, int]) -> Paired:
    """Two classifiers over n images, all of one class unless classes are given."""
    delta = (fixed - broke) / n
    return Paired(
        delta=delta,
        ci=(delta, delta),
        broke=broke,
        fixed=fixed,
        agreement=1 - (broke + fixed) / n,
        per_class=per_class or {"any": (broke, fixed, n)},
    )


def outcomes(decision: Decision) -> dict[str, str]:
    return {verdict.variant: verdict.verdict for verdict in decision.verdicts}


def with_figures(
    card: Scorecard, against: Paired | None = None, size: float = 0.3, latency: float = 0.9, **fields: Any
) -> Scorecard:
    """The card with the judged figures set; `latency` is the upper end of the ratio's interval."""
    single = card.latency.batches["1"].model_copy(update={"ratio": latency - 0.01, "ratio_ci95": (0.1, latency)})
    latencies = card.latency.model_copy(update={"batches": {"1": single}} | fields)
    return card.model_copy(
        update={
            "quality": card.quality.model_copy(update={"vs_baseline": against or paired(5, 5, 10_000)}),
            "size": card.size.model_copy(update={"ratio": size}),
            "latency": latencies,
        }
    )


def judge(scorecards: Scorecards, policy: Policy, **figures: Any) -> dict[str, Any]:
    """One candidate with these figures: its verdict, and each rule's code."""
    baseline, candidate = scorecards.card("onnx_fp32"), scorecards.card("onnx_int8_qat")
    cards = scorecards.model_copy(update={"scorecards": [baseline, with_figures(candidate, **figures)]})
    (verdict,) = decide(cards, policy, "onnx_fp32").verdicts
    return {"verdict": verdict.verdict} | {reason.rule: reason.code for reason in verdict.reasons}


def test_the_smallest_latency_wins_among_those_that_pass(scorecards: Scorecards, policy: Policy) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    assert decision.winner == "litert_int8_dynamic"
    assert outcomes(decision) == {
        "onnx_fp16": "fail",
        "onnx_int8_dynamic": "fail",
        "onnx_int8_static": "pass",
        "onnx_int8_qat": "pass",
        "litert_fp32": "fail",
        "litert_fp16": "fail",
        "litert_int8_dynamic": "pass",
        "litert_int8_static": "fail",
        "litert_int8_qat": "pass",
    }


@pytest.mark.parametrize(
    ("figures", "rule", "code"),
    [
        ({"against": paired(250, 50, 10_000)}, "accuracy", "accuracy_drop_exceeded"),
        ({"against": paired(60, 60, 10_000, five=(60, 0, 500), six=(0, 60, 9500))}, "recall", "recall_drop_exceeded"),
        ({"size": 0.51}, "size", "size_ratio_exceeded"),
        ({"latency": 1.06}, "latency", "latency_ratio_exceeded"),
        ({"latency": float("nan")}, "latency", "latency_ratio_exceeded"),
        ({"machine": "another"}, "latency", "latency_ratio_incomparable"),
        ({"machine": None}, "latency", "latency_ratio_incomparable"),
    ],
)
def test_one_figure_beyond_its_limit_fails_and_is_named(
    scorecards: Scorecards, policy: Policy, figures: dict[str, Any], rule: str, code: str
) -> None:
    judged = judge(scorecards, policy, **figures)
    assert judged["verdict"] == "fail"
    assert judged.pop(rule) == code
    assert all(other.endswith("_ok") for name, other in judged.items() if name != "verdict")


def test_two_machines_that_were_not_recorded_are_not_one(scorecards: Scorecards, policy: Policy) -> None:
    cards = [
        card.model_copy(update={"latency": card.latency.model_copy(update={"machine": None})})
        for card in scorecards.scorecards
    ]
    decision = decide(scorecards.model_copy(update={"scorecards": cards}), policy, "onnx_fp32")
    latencies = [reason for verdict in decision.verdicts for reason in verdict.reasons if reason.rule == "latency"]
    assert {reason.code for reason in latencies} == {"latency_ratio_incomparable"}
    assert str(latencies[0]).endswith(", limit 1.05, but not known to be timed on the baseline's machine")


def test_a_ratio_at_its_limit_passes(scorecards: Scorecards, policy: Policy) -> None:
    assert judge(scorecards, policy, size=0.5, latency=1.05)["verdict"] == "pass"


def test_integers_can_be_required(scorecards: Scorecards, policy: Policy) -> None:
    strict = policy.model_copy(update={"min_integer_compute_share": 1})
    verdicts = {verdict.variant: verdict for verdict in decide(scorecards, strict, "onnx_fp32").verdicts}
    assert verdicts["onnx_int8_qat"].verdict == "pass"
    assert verdicts["onnx_fp16"].reasons[-1].code == "integer_compute_missed"


@pytest.mark.parametrize(("required", "verdict", "code"), [(0.0, "pass", "ok"), (0.01, "fail", "unknown")])
def test_an_unknown_share_of_integers_meets_no_requirement(
    required: float, verdict: str, code: str, scorecards: Scorecards, policy: Policy
) -> None:
    unknown = scorecards.card("onnx_int8_static").proof.model_copy(update={"integer_compute_share": None})
    cards = [card.model_copy(update={"proof": unknown}) for card in scorecards.scorecards]
    strict = policy.model_copy(update={"min_integer_compute_share": required})
    decision = decide(scorecards.model_copy(update={"scorecards": cards}), strict, "onnx_fp32")
    judged = decision.verdict("onnx_int8_static")
    assert judged is not None
    assert (judged.verdict, judged.reasons[-1].code) == (verdict, f"integer_compute_{code}")
    assert str(judged.reasons[-1]) == f"integer compute unknown, limit {required:g}"
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@pytest.mark.parametrize(
    ("broke", "fixed", "n", "code"),
    [
        (0, 0, 359, "accuracy_drop_ok"),
        (1, 2, 359, "accuracy_drop_ok"),
        (1, 0, 359, "accuracy_drop_underpowered"),
        (3, 2, 359, "accuracy_drop_underpowered"),
        (9, 0, 359, "accuracy_drop_exceeded"),  # a drop of more than 1 point is shown
        (100, 50, 10_000, "accuracy_drop_ok"),
        (120, 48, 10_000, "accuracy_drop_ok"),
        (140, 48, 10_000, "accuracy_drop_exceeded"),  # not shown, but so many images would clear a variant without loss
    ],
)
def test_accuracy_has_three_outcomes(policy: Policy, broke: int, fixed: int, n: int, code: str) -> None:
    reason = accuracy(paired(broke, fixed, n), policy)
    assert reason.code == code
    assert reason.value == pytest.approx(-lower_bound(broke, fixed, n))
    assert reason.interval is not None
    assert reason.interval[0] <= (broke - fixed) / n <= reason.interval[1] == reason.value


def test_an_underpowered_variant_is_told_how_many_images_would_decide(policy: Policy) -> None:
    reason = accuracy(paired(1, 0, 359), policy)
    assert reason.needed is not None
    assert chance_to_pass(reason.needed, 0.0, 2 / 361, 0.01) >= 0.9
    assert (
        str(reason)
        == f"the accuracy drop could be up to 1.315 points, limit 1 point, {reason.needed} test images would decide"
    )
    assert accuracy(paired(0, 0, 359), policy).needed is None


def test_a_night_asks_for_more_to_keep_accuracy_and_for_no_more_to_lose_it(policy: Policy) -> None:
    sure, counts = 1 - 1e-4, (60, 40, 10_000)
    by_hand, tonight = accuracy(paired(*counts), policy), accuracy(paired(*counts), policy, sure)
    assert tonight.value == -lower_bound(*counts, sure)
    assert by_hand.interval
    assert tonight.interval == (by_hand.interval[0], tonight.value)
    few, needs = accuracy(paired(1, 0, 359), policy).needed, accuracy(paired(1, 0, 359), policy, sure).needed
    assert few
    assert needs
    assert needs > 2 * few
    assert accuracy(paired(*counts), policy, 0.6) == by_hand, "what the policy asks for is the least"
    lost = paired(80, 0, 1000, dog=(80, 0, 1000))
    assert challenge(lost, policy, "champion", sure)[1] == challenge(lost, policy, "champion")[1]


def test_a_failing_rule_outweighs_one_without_images_enough(scorecards: Scorecards, policy: Policy) -> None:
    few = paired(1, 0, 359)
    assert judge(scorecards, policy, against=few)["verdict"] == "underpowered"
    assert judge(scorecards, policy, against=few, size=0.6)["verdict"] == "fail"


def test_recall_names_the_class_that_fell_most_beyond_its_limit(policy: Policy) -> None:
    counts = {"cat": (30, 0, 1000), "dog": (150, 0, 1000), "fox": (0, 0, 0), "owl": (120, 0, 1000)}
    lost = paired(300, 0, 3000, **counts)
    reason = recall(lost, policy)
    assert (reason.of, reason.limit, reason.code) == ("dog", 0.05, "recall_drop_exceeded")
    assert reason.value == pytest.approx(0.1, abs=0.05)
    said = f"class dog is shown to have lost at least {100 * (reason.value or 0):.4g} points of recall, limit 5 points"
    assert str(reason) == said
    own = policy.model_copy(update={"recall_drops": {"dog": 0.2}})
    assert recall(lost, own).of == "owl"
    assert recall(lost, own.model_copy(update={"max_recall_drop": 0.2})).met
    both = paired(370, 0, 2000, dog=(250, 0, 1000), owl=(120, 0, 1000))
    assert recall(both, policy).of == "dog"
    assert recall(both, own).of == "owl"


def test_many_classes_make_no_class_suspect_by_chance(policy: Policy) -> None:
    """A fall that one class alone would show is not shown where it is the worst of a hundred."""
    one, hundred = ({str(n): (12, 0, 100) for n in range(1)}, {str(n): (12 * (n == 7), 0, 100) for n in range(100)})
    assert recall(paired(12, 0, 100, **one), policy).code == "recall_drop_exceeded"
    reason = recall(paired(12, 0, 10_000, **hundred), policy)
    assert (reason.of, reason.code) == ("7", "recall_drop_ok")
    assert recall(paired(1, 1, 100), policy).value == 0


def test_a_limit_for_a_class_that_there_is_not_is_named(policy: Policy) -> None:
    unknown = policy.model_copy(update={"recall_drops": {"gnu": 0.1}})
    with pytest.raises(ParamsError, match=r"class gnu\. Known: any\."):
        recall(paired(1, 1, 100), unknown)


def test_scorecards_that_do_not_count_classes_are_not_judged(scorecards: Scorecards, policy: Policy) -> None:
    older = paired(1, 1, 100).model_copy(update={"per_class": {}})
    with pytest.raises(ModelError, match="Run dvc repro"):
        judge(scorecards, policy, against=older)


def test_a_challenger_is_held_to_accuracy_and_recall_of_the_model_in_service(policy: Policy) -> None:
    worse = challenge(paired(250, 50, 10_000), policy, "champion")
    assert [(reason.name, reason.met) for reason in worse] == [
        ("accuracy vs champion", False),
        ("recall vs champion", True),
    ]
    assert worse[0].interval
    least, most = (f"{100 * bound:.4g}" for bound in worse[0].interval)
    assert str(worse[0]) == (
        f"the accuracy drop vs champion is at least {least} points and could be up to {most} points, limit 1 point"
    )
    assert outcome(worse) == "fail"
    assert outcome(challenge(paired(0, 0, 359), policy, "anchor")) == "pass"
    assert outcome(challenge(paired(1, 0, 359), policy, "anchor")) == "underpowered"


def test_small_losses_cannot_add_up_against_the_anchor(policy: Policy) -> None:
    """Each step passes against the one before; the second no longer does against where it began."""
    step, both = paired(60, 5, 10_000), paired(120, 10, 10_000)
    assert outcome(challenge(step, policy, "champion")) == "pass"
    assert outcome(challenge(both, policy, "anchor")) == "fail"


def test_what_is_preferred_is_the_policys_to_say(scorecards: Scorecards, policy: Policy) -> None:
    orders = {"latency": "litert_int8_dynamic", "size": "onnx_int8_static", "accuracy": "litert_int8_qat"}
    for first, winner in orders.items():
        other = policy.model_copy(update={"prefer": (first, *(name for name in orders if name != first))})
        assert decide(scorecards, other, "onnx_fp32").winner == winner


def test_equal_latency_goes_to_the_smaller_file_then_to_the_better_accuracy_then_to_the_name(
    scorecards: Scorecards, policy: Policy
) -> None:
    baseline, static = scorecards.card("onnx_fp32"), with_figures(scorecards.card("onnx_int8_static"))
    smaller = static.size.model_copy(update={"file_bytes": static.size.file_bytes - 1})
    better = static.quality.model_copy(update={"top1": static.quality.top1 + 0.001})
    small = static.model_copy(update={"variant": "onnx_int8_tiny", "size": smaller})
    best = small.model_copy(update={"variant": "onnx_int8_top", "quality": better})
    twin = best.model_copy(update={"variant": "onnx_int8_best"})
    for rivals, winner in (
        ([static, small], "onnx_int8_tiny"),
        ([small, best, static], "onnx_int8_top"),
        ([best, twin], "onnx_int8_best"),
    ):
        cards = scorecards.model_copy(update={"scorecards": [baseline, *rivals]})
        assert decide(cards, policy, "onnx_fp32").winner == winner


def test_nothing_wins_where_nothing_passes(scorecards: Scorecards, policy: Policy) -> None:
    strict = policy.model_copy(update={"max_size_ratio": 0.001})
    assert decide(scorecards, strict, "onnx_fp32").winner is None


def test_an_unmeasured_baseline_is_named(scorecards: Scorecards, policy: Policy) -> None:
    with pytest.raises(ModelError, match="'onnx_fp64'"):
        decide(scorecards, policy, "onnx_fp64")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"max_accuracy_drop": 0}, "greater than 0"),
        ({"confidence": 0.5}, "greater than 0.5"),
        ({"prefer": ["speed"]}, "'latency', 'size' or 'accuracy'"),
        ({"prefer": ["size", "size"]}, "each figure is allowed only once"),
    ],
)
def test_a_policy_that_cannot_be_judged_by_is_refused(policy: Policy, change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Policy.model_validate(policy.model_dump() | change)


def test_classes_that_are_numbers_can_be_limited_as_yaml_has_them(policy: Policy) -> None:
    assert Policy.model_validate(policy.model_dump() | {"recall_drops": {5: 0.1}}).recall_drops == {"5": 0.1}


def test_the_decision_survives_its_file(scorecards: Scorecards, policy: Policy, tmp_path: Path) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    path = tmp_path / "decision.json"
    path.write_text(decision.model_dump_json())
    assert load_decision(path) == decision
    first = json.loads(path.read_text())["verdicts"][0]
    assert first["variant"] == "onnx_fp16"
    reason = first["reasons"][0]
    assert {"rule": "accuracy", "limit": 0.01, "code": "accuracy_drop_ok"}.items() <= reason.items()
    assert reason["value"] == pytest.approx(-lower_bound(1, 1, 10_000))


def test_a_decision_of_before_is_still_read(policy: Policy, tmp_path: Path) -> None:
    reason = {"rule": "size", "value": 0.6, "limit": 0.5, "code": "size_ratio_exceeded"}
    limits = {"max_accuracy_drop": 0.01, "max_size_ratio": 0.5, "max_latency_ratio": 1.25}
    verdict = {"variant": "onnx_fp16", "verdict": "fail", "reasons": [reason]}
    path = tmp_path / "decision.json"
    path.write_text(json.dumps({"winner": None, "baseline": "a", "policy": limits, "verdicts": [verdict]}))
    assert load_decision(path).verdicts[0].unmet == (Reason.model_validate(reason),)


@LAWS
@given(policy=POLICIES, factor=st.sampled_from([0.5, 0.9, 1]))
def test_a_tighter_policy_never_turns_fail_into_pass(scorecards: Scorecards, policy: Policy, factor: float) -> None:
    limits = {name: limit * factor for name, limit in policy.model_dump().items() if name.startswith("max_")}
    before = outcomes(decide(scorecards, policy, "onnx_fp32"))
    after = outcomes(decide(scorecards, policy.model_copy(update=limits), "onnx_fp32"))
    assert not [name for name in before if before[name] != "pass" and after[name] == "pass"]


@LAWS
@given(policy=POLICIES, order=st.randoms(use_true_random=False))
def test_the_order_of_variants_does_not_change_the_winner(scorecards: Scorecards, policy: Policy, order: Any) -> None:
    shuffled = list(scorecards.scorecards)
    order.shuffle(shuffled)
    other = scorecards.model_copy(update={"scorecards": shuffled})
    assert decide(other, policy, "onnx_fp32").winner == decide(scorecards, policy, "onnx_fp32").winner


@LAWS
@given(policy=POLICIES)
def test_the_winner_passes_and_none_that_does_is_better_by_the_first_figure(
    scorecards: Scorecards, policy: Policy
) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    passing = {name for name, verdict in outcomes(decision).items() if verdict == "pass"}
    assert (decision.winner is None) == (not passing)
    if decision.winner:
        cards = {name: scorecards.card(name) for name in passing}
        figures: dict[str, dict[str, float]] = {
            "latency": {name: card.latency.batches["1"].ratio for name, card in cards.items()},
            "size": {name: card.size.file_bytes for name, card in cards.items()},
            "accuracy": {name: -card.quality.top1 for name, card in cards.items()},
        }
        first = figures[policy.prefer[0]]
        assert first[decision.winner] == min(first.values())


def test_a_refused_variant_has_a_verdict_and_never_wins(with_refused: Scorecards, policy: Policy) -> None:
    decision = decide(with_refused, policy, "onnx_fp32")
    verdict = decision.verdict("onnx_int8_noise")
    assert verdict
    assert (verdict.verdict, verdict.refused) == ("refused", str(with_refused.refused["onnx_int8_noise"]))
    (reason,) = verdict.reasons
    assert (reason.rule, reason.value, reason.limit, reason.code) == ("sqnr", 3.2, 10, "sqnr_db_missed")
    assert not reason.met
    alone = with_refused.model_copy(update={"scorecards": [with_refused.card("onnx_fp32")]})
    assert decide(alone, policy, "onnx_fp32").winner is None


def test_a_refused_baseline_is_told(with_refused: Scorecards, policy: Policy) -> None:
    with pytest.raises(VariantRefused, match="onnx_int8_noise is refused and has no model"):
        decide(with_refused, policy, "onnx_int8_noise")
