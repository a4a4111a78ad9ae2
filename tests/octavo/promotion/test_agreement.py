"""The gate without labels: agreement by an exact bound, and the outputs' SQNR."""

from collections.abc import Callable

import pytest
from scipy.stats import binom

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.policy import AgreementPolicy
from octavo.promotion.agreement import agreement, decide, images_needed
from octavo.promotion.decision import Decision, Judgement, Rule

POLICY = AgreementPolicy(max_size_ratio=0.5, max_latency_ratio=1.25)


@pytest.mark.parametrize(
    ("same", "n", "found"),
    [
        (298, 298, Judgement.UNDERPOWERED),  # 0.99^298 = 0.0500
        (299, 299, Judgement.OK),
        (598, 600, Judgement.UNDERPOWERED),
        (9_950, 10_000, Judgement.OK),
        (9_800, 10_000, Judgement.MISSED),
        (900, 1_000, Judgement.MISSED),
    ],
)
def test_the_lower_bound_is_judged(same: int, n: int, found: Judgement) -> None:
    reason = agreement(same, n, POLICY)
    assert reason.found is found
    assert (reason.needed is not None) == (found is Judgement.UNDERPOWERED)
    assert reason.interval
    assert reason.interval[0] <= same / n <= reason.interval[1]


@pytest.mark.parametrize("n", [299, 500, 1_000])
def test_a_variant_at_the_limit_passes_in_one_case_of_twenty_at_most(n: int) -> None:
    passing = [same for same in range(n - 20, n + 1) if agreement(same, n, POLICY).found is Judgement.OK]
    assert passing == list(range(passing[0], n + 1))
    assert binom.sf(passing[0] - 1, n, POLICY.min_agreement) <= 0.05
    assert binom.sf(passing[0] - 2, n, POLICY.min_agreement) > 0.05, "one more disagreement would do, too"


@pytest.mark.parametrize("rate", [0.0005, 0.002, 0.5])
def test_with_the_number_that_is_named_nine_of_ten_pass(rate: float) -> None:
    n, true = images_needed(rate, 0.99), 1 - min(rate, 0.005)
    fewest = min(same for same in range(n - 40, n + 1) if agreement(same, n, POLICY).found is Judgement.OK)
    assert binom.sf(fewest - 1, n, true) >= 0.9


def test_decisions_name_the_rule_and_are_read_again(scorecards: Scorecards) -> None:
    decision = decide(scorecards, POLICY, "onnx_fp32")
    assert not decision.labelled
    assert Decision.model_validate_json(decision.model_dump_json()) == decision
    dynamic = decision.verdict("onnx_int8_dynamic")
    assert dynamic
    assert dynamic.verdict == "fail"
    assert [reason.code for reason in dynamic.unmet] == ["latency_ratio_exceeded"]
    assert str(next(each for each in dynamic.reasons if each.rule is Rule.AGREEMENT)).startswith(
        "the agreement could be"
    )


def test_noise_fails_whatever_the_agreement(make_card: Callable[..., Scorecard], scorecards: Scorecards) -> None:
    found = make_card("onnx_int8_static")
    assert found.acceptance
    noisy = found.model_copy(update={"acceptance": found.acceptance.model_copy(update={"sqnr_db": 19.9})})
    cards = scorecards.model_copy(update={"scorecards": [make_card("onnx_fp32"), noisy]})
    (verdict,) = decide(cards, POLICY, "onnx_fp32").verdicts
    assert [reason.code for reason in verdict.unmet] == ["sqnr_db_missed"]


def test_the_winner_is_the_first_in_the_order_of_the_policy(scorecards: Scorecards) -> None:
    assert decide(scorecards, POLICY, "onnx_fp32").winner == "litert_int8_dynamic"
