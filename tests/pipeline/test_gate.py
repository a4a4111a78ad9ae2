"""The gate: what passes, why the rest does not, and which of those that pass wins."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.decision import Decision, load_decision
from pipeline.errors import ModelError
from pipeline.gate import decide
from pipeline.params import Policy
from pipeline.scorecard import Scorecard, Scorecards

LAWS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
POLICIES = st.builds(
    Policy,
    max_accuracy_drop=st.floats(0, 0.5),
    max_size_ratio=st.floats(0.01, 2),
    max_latency_ratio=st.floats(0.01, 5),
)


def outcomes(decision: Decision) -> dict[str, str]:
    return {verdict.variant: verdict.verdict for verdict in decision.verdicts}


def with_figures(card: Scorecard, delta: float = 0.0, size: float = 0.3, latency: float = 0.9) -> Scorecard:
    """The card with the three judged figures set."""
    paired = card.quality.vs_baseline.model_copy(update={"delta": delta})
    single = card.latency.batches["1"].model_copy(update={"ratio": latency})
    return card.model_copy(
        update={
            "quality": card.quality.model_copy(update={"vs_baseline": paired}),
            "size": card.size.model_copy(update={"ratio": size}),
            "latency": card.latency.model_copy(update={"batches": {"1": single}}),
        }
    )


def judge(scorecards: Scorecards, policy: Policy, **figures: float) -> dict[str, Any]:
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
        ({"delta": -0.011}, "accuracy", "accuracy_drop_exceeded"),
        ({"size": 0.51}, "size", "size_ratio_exceeded"),
        ({"latency": 1.01}, "latency", "latency_ratio_exceeded"),
        ({"latency": float("nan")}, "latency", "latency_ratio_exceeded"),
    ],
)
def test_one_figure_beyond_its_limit_fails_and_is_named(
    scorecards: Scorecards, policy: Policy, figures: dict[str, float], rule: str, code: str
) -> None:
    judged = judge(scorecards, policy, **figures)
    assert judged["verdict"] == "fail"
    assert judged.pop(rule) == code
    assert all(other.endswith("_ok") for name, other in judged.items() if name != "verdict")


def test_integers_can_be_required(scorecards: Scorecards, policy: Policy) -> None:
    strict = policy.model_copy(update={"min_integer_compute_share": 1})
    verdicts = {verdict.variant: verdict for verdict in decide(scorecards, strict, "onnx_fp32").verdicts}
    assert verdicts["onnx_int8_qat"].verdict == "pass"
    assert verdicts["onnx_fp16"].reasons[-1].code == "integer_compute_missed"


def test_a_figure_at_its_limit_passes(scorecards: Scorecards, policy: Policy) -> None:
    assert judge(scorecards, policy, delta=-0.01, size=0.5, latency=1.0)["verdict"] == "pass"


def test_equal_latency_goes_to_the_smaller_file_then_to_the_better_accuracy(
    scorecards: Scorecards, policy: Policy
) -> None:
    baseline, static = scorecards.card("onnx_fp32"), with_figures(scorecards.card("onnx_int8_static"))
    smaller = static.size.model_copy(update={"file_bytes": static.size.file_bytes - 1})
    better = static.quality.model_copy(update={"top1": static.quality.top1 + 0.001})
    small = static.model_copy(update={"variant": "onnx_int8_tiny", "size": smaller})
    best = small.model_copy(update={"variant": "onnx_int8_top", "quality": better})
    for rivals, winner in (([static, small], "onnx_int8_tiny"), ([small, best, static], "onnx_int8_top")):
        cards = scorecards.model_copy(update={"scorecards": [baseline, *rivals]})
        assert decide(cards, policy, "onnx_fp32").winner == winner


def test_nothing_wins_where_nothing_passes(scorecards: Scorecards, policy: Policy) -> None:
    strict = policy.model_copy(update={"max_size_ratio": 0.001})
    assert decide(scorecards, strict, "onnx_fp32").winner is None


def test_an_unmeasured_baseline_is_named(scorecards: Scorecards, policy: Policy) -> None:
    with pytest.raises(ModelError, match="'onnx_fp64'"):
        decide(scorecards, policy, "onnx_fp64")


def test_the_decision_survives_its_file(scorecards: Scorecards, policy: Policy, tmp_path: Any) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    path = tmp_path / "decision.json"
    path.write_text(decision.model_dump_json())
    assert load_decision(path) == decision
    first = json.loads(path.read_text())["verdicts"][0]
    assert first["variant"] == "onnx_fp16"
    assert first["reasons"][0] == {"rule": "accuracy", "value": 0.0, "limit": 0.01, "code": "accuracy_drop_ok"}


@LAWS
@given(policy=POLICIES, factor=st.floats(0.05, 1))
def test_a_tighter_policy_never_turns_fail_into_pass(scorecards: Scorecards, policy: Policy, factor: float) -> None:
    tighter = Policy(**{name: limit * factor for name, limit in policy.model_dump().items()})
    before, after = (outcomes(decide(scorecards, p, "onnx_fp32")) for p in (policy, tighter))
    assert not [name for name in before if (before[name], after[name]) == ("fail", "pass")]


@LAWS
@given(policy=POLICIES, order=st.randoms(use_true_random=False))
def test_the_order_of_variants_does_not_change_the_winner(scorecards: Scorecards, policy: Policy, order: Any) -> None:
    shuffled = list(scorecards.scorecards)
    order.shuffle(shuffled)
    other = scorecards.model_copy(update={"scorecards": shuffled})
    assert decide(other, policy, "onnx_fp32").winner == decide(scorecards, policy, "onnx_fp32").winner


@LAWS
@given(policy=POLICIES)
def test_the_winner_passes_and_no_faster_variant_does(scorecards: Scorecards, policy: Policy) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    passing = {name for name, verdict in outcomes(decision).items() if verdict == "pass"}
    assert (decision.winner is None) == (not passing)
    if decision.winner:
        ratios = {name: scorecards.card(name).latency.batches["1"].ratio for name in passing}
        assert ratios[decision.winner] == min(ratios.values())
