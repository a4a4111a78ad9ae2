"""The paired score interval: published values, symmetry, coverage of what was observed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octavo.statistics.paired_proportions import score, score_interval

counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400)).map(
    lambda drawn: (drawn[0], drawn[1], sum(drawn) + 1)
)


def test_a_published_example() -> None:
    """Airway hyper-responsiveness, n = 21, discordant 1 and 7: Tango's interval as in Fagerland et al. (2014)."""
    low, high = score_interval(7, 1, 21)
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


@given(counts)
def test_it_holds_the_observed_difference_and_stays_a_difference_of_shares(drawn: tuple[int, int, int]) -> None:
    broke, fixed, n = drawn
    low, high = score_interval(broke, fixed, n)
    assert -1 <= low <= (fixed - broke) / n <= high <= 1


@given(counts)
def test_exchanging_the_two_classifiers_mirrors_it(drawn: tuple[int, int, int]) -> None:
    broke, fixed, n = drawn
    low, high = score_interval(broke, fixed, n)
    assert score_interval(fixed, broke, n) == pytest.approx((-high, -low), abs=1e-9)


@given(counts)
def test_more_confidence_makes_it_wider(drawn: tuple[int, int, int]) -> None:
    broke, fixed, n = drawn
    low, high = score_interval(broke, fixed, n, 0.9)
    wider_low, wider_high = score_interval(broke, fixed, n, 0.99)
    assert wider_low < low
    assert wider_high > high


def test_no_discordant_image_still_leaves_doubt() -> None:
    low, high = score_interval(0, 0, 360)
    assert low == pytest.approx(-high)
    assert high == pytest.approx(1.96**2 / (360 + 1.96**2), rel=1e-3)


def test_all_discordant_one_way_reaches_the_end() -> None:
    assert score_interval(50, 0, 50)[0] == -1
    assert score_interval(0, 50, 50)[1] == 1


@given(counts, st.integers(-900, 900).map(lambda thousandths: thousandths / 1000))
def test_many_counts_score_as_each_alone(drawn: tuple[int, int, int], delta: float) -> None:
    broke, _, n = drawn
    many = np.arange(0, n - broke + 1)
    scores = score(broke, many, n, delta)
    assert (np.diff(scores) >= 0).all()
    assert scores.tolist() == [score(broke, int(fixed), n, delta) for fixed in many]
