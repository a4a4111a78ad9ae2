"""Two samples of counts: exact p-values within Monte Carlo error, and distances that mean what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, hypergeom

from octavo.statistics.two_sample import CLEAR, GROUPS, HITS, SCREEN, distance, p_value, pooled

COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=40)


def exact(first: np.ndarray, second: np.ndarray) -> float:
    """By going through every table of two columns with the same margins."""
    margins = first + second
    tables = [(a, first.sum() - a) for a in range(margins[0] + 1) if 0 <= first.sum() - a <= margins[1]]
    chance = [hypergeom.pmf(a, margins.sum(), margins[0], first.sum()) for a, _ in tables]
    far = [chi2_contingency([row, margins - row], correction=False)[0] for row in np.array(tables)]
    own = chi2_contingency([first, second], correction=False)[0]
    return float(sum(p for p, statistic in zip(chance, far, strict=True) if statistic >= own - 1e-9))


@pytest.mark.parametrize("counts", [([6, 14], [510, 490]), ([1, 19], [500, 500]), ([0, 20], [300, 700])])
def test_p_values_are_exact_at_small_counts(counts: tuple[list[int], list[int]]) -> None:
    first, second = map(np.array, counts)
    truth = exact(first, second)
    draws = HITS / 0.0005 if truth < CLEAR else SCREEN
    assert p_value(first, second, 0.0005) == pytest.approx(truth, abs=4 * np.sqrt(truth / draws) + 2 / draws)


def test_the_smallest_p_value_is_below_the_level_and_the_same_each_time() -> None:
    first, second = np.array([100, 0, 0]), np.array([0, 50, 50])
    assert 0 < p_value(first, second, 0.001) < 0.001
    assert p_value(first, second, 0.001) == p_value(first, second, 0.001)


def test_empty_columns_and_a_single_one_say_nothing() -> None:
    assert p_value(np.array([5, 0]), np.array([9, 0]), 0.01) == 1


def test_the_distance_is_the_share_that_would_have_to_differ() -> None:
    assert distance(np.array([30, 70]), np.array([100, 900])) == pytest.approx(0.2)
    assert distance(np.array([1, 0]), np.array([0, 7])) == 1


@settings(max_examples=100, deadline=None)
@given(first=COUNTS, second=COUNTS)
def test_pooling_keeps_every_image_in_few_groups_that_follow_from_the_sums(first: list[int], second: list[int]) -> None:
    size = max(len(first), len(second))
    a, b = (np.pad(np.array(counts), (0, size - len(counts))) for counts in (first, second))
    a[0] += 1
    b[-1] += 1
    one, other = pooled(a, b)

    assert (one.sum(), other.sum()) == (a.sum(), b.sum())
    assert len(one) == len(other) <= GROUPS
    assert (one + other > 0).all()
    swapped = pooled(b, a)
    np.testing.assert_array_equal(one + other, swapped[0] + swapped[1])
    assert distance(one, other) <= distance(a, b) + 1e-12
