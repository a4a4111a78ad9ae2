"""No class is chosen where a logit is not a finite number."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from octavo.backends import predictor
from octavo.backends.predictor import Predictor
from octavo.data.splits import Split
from octavo.evaluation import parity
from octavo.statistics.signal_to_noise import decibels, sqnr
from octavo.tasks import classification, logits

ANSWERS = arrays.arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(2, 5)))
GOOD = np.eye(3, dtype=np.float32)
LABELS = Split(np.zeros((3, 2, 2), np.uint8), np.arange(3))


@given(ANSWERS)
def test_images_with_a_value_that_is_not_finite_are_counted(answers: np.ndarray) -> None:
    lost = sum(not all(map(np.isfinite, row)) for row in answers.tolist())
    if not lost:
        np.testing.assert_array_equal(logits.choices(answers, "It"), answers.argmax(1))
        return
    with pytest.raises(
        logits.NotFinite, match=f"^It gives logits that are NaN or infinite for {lost} of {len(answers)} "
    ):
        logits.choices(answers, "It")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "read",
    [
        lambda bad: classification.judge(LABELS, bad, GOOD),
        lambda bad: classification.judge(LABELS, GOOD, bad),
        lambda bad: classification.judge(LABELS, GOOD, GOOD, bad),
        lambda bad: classification.pair(LABELS.labels, bad, GOOD),
        lambda bad: predictor.logits(Predictor(lambda _: bad), LABELS.images),
        lambda bad: parity.compare(bad, GOOD, None),
        lambda bad: parity.compare(GOOD, bad, None),
    ],
)
def test_logits_that_are_not_finite_are_refused_wherever_they_are_read(
    value: float, read: Callable[[np.ndarray], object]
) -> None:
    bad = GOOD.copy()
    bad[1, 0] = value
    with pytest.raises(logits.NotFinite, match="for 1 of 3 images"):
        read(bad)


def test_what_is_not_finite_agrees_with_nothing() -> None:
    bad = GOOD.copy()
    bad[0, 0] = np.nan  # argmax calls NaN the largest: the right class, by chance
    assert (
        logits.CLASSIFICATION.same(bad, GOOD).tolist()
        == logits.CLASSIFICATION.same(GOOD, bad).tolist()
        == [False, True, True]
    )
    assert logits.CLASSIFICATION.scores(bad, LABELS.labels).tolist() == [0, 1, 1]


POWERS = st.floats(min_value=0) | st.just(float("nan"))


@given(POWERS, POWERS)
def test_every_pair_of_powers_has_its_decibels(signal: float, noise: float) -> None:
    assert -200 <= decibels(signal, noise) <= 200


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_all_noise(value: float) -> None:
    assert sqnr(GOOD, np.full_like(GOOD, value)) == sqnr(np.full_like(GOOD, value), GOOD) == -200


def test_large_values_do_not_overflow() -> None:
    assert sqnr(GOOD * np.float32(1e30), GOOD * np.float32(1.1e30)) == pytest.approx(20, abs=1e-3)
