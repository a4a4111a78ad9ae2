"""Whether the baseline beats the majority class, by an exact test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from octavo.data.splits import Split
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.policy import Policy
from octavo.promotion.decision import Decision, Majority
from octavo.promotion.gate import decide, ranking
from octavo.promotion.majority import against_majority
from octavo.reporting.variants_table import warnings
from octavo.tasks.classification import judge

COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=6)
GENERATOR = np.random.default_rng(0)


def answering(card: Scorecard, labels: np.ndarray, answers: np.ndarray) -> Scorecard:
    """The card of a classifier that gives these answers to test images of these labels."""
    classes = [str(label) for label in range(labels.max() + 1)]
    logits = np.eye(len(classes), dtype=np.float32)[answers]
    test = Split(np.zeros((len(labels), 2, 2), np.uint8), labels)
    return card.model_copy(update={"quality": judge(test, logits, logits, classes=classes)})


def measured(card: Scorecard, labels: np.ndarray, answers: np.ndarray, confidence: float = 0.95) -> Majority:
    return against_majority(answering(card, labels, answers), [*map(str, range(labels.max() + 1))], confidence)


@given(counts=COUNTS, answer=st.integers(0, 5), confidence=st.sampled_from([0.6, 0.95, 0.999]))
def test_no_constant_answer_ever_beats_it(
    baseline: Scorecard, counts: list[int], answer: int, confidence: float
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    found = measured(baseline, labels, np.full(len(labels), answer % len(counts)), confidence)
    assert not found.beaten
    assert found.images == max(counts)


@given(counts=COUNTS, wrong=st.integers(0, 300), confidence=st.sampled_from([0.6, 0.95, 0.999]))
def test_it_is_the_exact_test_and_says_how_many_right_answers_would_show_it(
    baseline: Scorecard, counts: list[int], wrong: int, confidence: float
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    answers = labels.copy()
    answers[:wrong] = (labels[:wrong] + 1) % len(counts)
    found = measured(baseline, labels, answers, confidence)
    right, n, share = int((answers == labels).sum()), len(labels), max(counts) / len(labels)
    assert (found.right, found.n) == (right, n)
    assert found.p_value == pytest.approx(binomtest(right, n, share, alternative="greater").pvalue)
    assert found.beaten == (found.p_value <= 1 - confidence) == (right >= found.needed)


def test_guesses_that_do_not_look_at_the_image_pass_no_more_often_than_the_level(baseline: Scorecard) -> None:
    labels = np.repeat([0, 1, 2], [120, 60, 20])
    passed = [
        measured(baseline, labels, GENERATOR.choice(3, len(labels), p=mixture)).beaten
        for mixture in ([1, 0, 0], [0.9, 0.1, 0], [0.6, 0.3, 0.1])
        for _ in range(100)
    ]
    assert np.mean(passed) <= 0.05


def test_nothing_wins_beside_a_constant_and_every_verdict_says_why(
    baseline: Scorecard, scorecards: Scorecards, policy: Policy
) -> None:
    """Its variants agree with it on every image, and are small and fast."""
    labels = np.repeat(np.arange(10), 100)
    cards = [answering(card, labels, np.zeros_like(labels)) for card in scorecards.scorecards]
    constant = scorecards.model_copy(update={"scorecards": cards})
    decision = decide(constant, policy, "onnx_fp32")
    assert decision.winner is None
    assert ranking(constant, decision) == []
    for verdict in decision.verdicts:
        assert verdict.verdict == "fail"
        assert str(verdict.unmet[-1]) == "baseline accuracy 0.1, limit 0.117 to beat the majority class"
    (sentence,) = warnings(decision)
    assert "onnx_fp32 does not beat the majority class: it is right on 100 of 1,000 test images" in sentence
    assert "100 are of class 0 alone, and 117 right are needed" in sentence


def test_a_baseline_that_beats_it_adds_no_reason_and_no_warning(scorecards: Scorecards, policy: Policy) -> None:
    decision = decide(scorecards, policy, "onnx_fp32")
    assert decision.majority
    assert decision.majority.beaten
    assert warnings(decision) == []
    assert {reason.rule for verdict in decision.verdicts for reason in verdict.reasons} == {
        "accuracy",
        "recall",
        "size",
        "latency",
        "integers",
    }


def test_too_few_images_are_said_to_be_too_few(baseline: Scorecard, scorecards: Scorecards, policy: Policy) -> None:
    labels = np.array([0, 0, 1])
    cards = [answering(baseline, labels, labels)]
    (sentence,) = warnings(decide(scorecards.model_copy(update={"scorecards": cards}), policy, "onnx_fp32"))
    assert "right on 3 of 3 test images, 2 are of class 0 alone, and more are needed" in sentence


def test_a_decision_from_before_this_was_recorded_still_loads(scorecards: Scorecards, policy: Policy) -> None:
    old = decide(scorecards, policy, "onnx_fp32").model_dump(mode="json", exclude={"majority"})
    assert warnings(Decision.model_validate(old)) == []
