"""The exact bound: its level counted out, its laws, and the power and the number of images that follow from it."""

import itertools
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multinomial

from octavo.statistics.noninferiority import chance_to_pass, fewest_fixed, images_needed, lower_bound, upper_bound
from octavo.statistics.paired_proportions import score, score_interval

SLOWLY = settings(deadline=None, max_examples=8)

margins = st.sampled_from([0.005, 0.01, 0.02, 0.05])


@st.composite
def results(draw: st.DrawFn, most: int = 40) -> tuple[int, int, int]:
    """Broke, fixed, n; no more than half of the images are discordant."""
    n = draw(st.integers(2, most))
    broke = draw(st.integers(0, n // 2))
    return broke, draw(st.integers(0, n // 2 - broke)), n


@cache
def all_results(n: int, confidence: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Every (broke, fixed, rest) of n images, and the bound of each."""
    counts = [(broke, fixed, n - broke - fixed) for broke in range(n + 1) for fixed in range(n + 1 - broke)]
    return np.array(counts), np.array([lower_bound(broke, fixed, n, confidence) for broke, fixed, _ in counts])


@pytest.mark.parametrize(
    ("n", "confidence"), [(3, 0.9), (6, 0.95), (6, 0.995), pytest.param(30, 0.95, marks=pytest.mark.slow)]
)
def test_it_exceeds_the_truth_no_more_often_than_it_may(n: int, confidence: float) -> None:
    """Summed over all results, at a grid of truths and just below each bound, where the chance is largest."""
    counts, bounds = all_results(n, confidence)
    truths = np.concatenate([np.linspace(-0.9, 0.9, 13), bounds[bounds > -1] - 1e-6])
    worst = 0.0
    for delta in truths:
        for rate in np.linspace(abs(delta) + 1e-9, 1, 17):
            shares = np.clip([(rate - delta) / 2, (rate + delta) / 2, 1 - rate], 0, 1)
            chances = multinomial.pmf(counts, n, shares / shares.sum())
            worst = max(worst, float(chances[bounds > delta].sum()))
    assert 0.5 * (1 - confidence) < worst <= 1 - confidence


def test_without_a_discordant_image_it_is_the_rule_of_three() -> None:
    """With none discordant, the truth excluded is the loss at which n images in a row agree with a chance of 5%."""
    assert lower_bound(0, 0, 359) == pytest.approx(0.05 ** (1 / 359) - 1, rel=2e-3)


def test_it_is_near_the_score_limit_where_counts_are_large() -> None:
    assert lower_bound(150, 120, 10_000) == pytest.approx(score_interval(150, 120, 10_000, 0.9)[0], abs=1e-4)


@SLOWLY
@given(results(), st.sampled_from([0.8, 0.95, 0.995]))
def test_one_image_better_never_lowers_it(drawn: tuple[int, int, int], confidence: float) -> None:
    broke, fixed, n = drawn
    bound = lower_bound(broke, fixed, n, confidence) - 1e-6
    assert -1 - 1e-6 <= bound <= (fixed - broke) / n
    if broke:
        assert lower_bound(broke - 1, fixed, n, confidence) >= bound
        assert lower_bound(broke - 1, fixed + 1, n, confidence) >= bound
    if broke + fixed < n:
        assert lower_bound(broke, fixed + 1, n, confidence) >= bound


@SLOWLY
@given(results())
def test_exchanging_the_two_classifiers_mirrors_it(drawn: tuple[int, int, int]) -> None:
    broke, fixed, n = drawn
    assert upper_bound(broke, fixed, n) == -lower_bound(fixed, broke, n)
    assert lower_bound(broke, fixed, n) <= upper_bound(broke, fixed, n)


@SLOWLY
@given(results(), st.sampled_from([0.8, 0.9]))
def test_more_confidence_lowers_it(drawn: tuple[int, int, int], confidence: float) -> None:
    broke, fixed, n = drawn
    assert lower_bound(broke, fixed, n, 0.99) <= lower_bound(broke, fixed, n, confidence)


@SLOWLY
@given(results(most=100), margins)
def test_what_passes_is_what_the_bound_clears(drawn: tuple[int, int, int], margin: float) -> None:
    broke, fixed, n = drawn
    (fewest,) = fewest_fixed(np.array([broke + fixed]), n, margin)
    bound = lower_bound(broke, fixed, n)
    if abs(bound + margin) > margin / 1000:
        assert (fixed >= fewest) == (bound > -margin)


@pytest.mark.parametrize(("n", "margin"), list(itertools.product((36, 359), (0.01, 0.05))))
def test_one_image_better_never_makes_a_pass_something_else(n: int, margin: float) -> None:
    """One discordant image more asks for no more than itself to be fixed, and for no fewer in all."""
    fewest = fewest_fixed(np.arange(n // 4), n, margin)
    assert set(np.diff(fewest)) <= {0, 1}


@pytest.mark.parametrize(("n", "margin"), list(itertools.product((50, 359), (0.005,))))
def test_a_loss_at_the_margin_passes_in_one_case_of_twenty_at_most(n: int, margin: float) -> None:
    """Tango's own limit lets through 5.6% at 359 images and a margin of 0.005."""
    rates = margin + np.linspace(1e-9, 0.1 - margin, 12)
    assert max(chance_to_pass(n, -margin, rate, margin) for rate in rates) <= 0.05


def test_the_chance_to_pass_is_that_of_the_results_that_pass() -> None:
    counts, bounds = all_results(6, 0.95)
    chances = multinomial.pmf(counts, 6, [0.1, 0.2, 0.7])
    passing = float(chances[bounds > -0.2].sum())
    assert chance_to_pass(6, 0.1, 0.3, 0.2) == pytest.approx(passing, abs=1e-6)


@pytest.mark.parametrize(("discordance", "margin"), [(3 / 361, 0.02), pytest.param(0.02, 0.01, marks=pytest.mark.slow)])
def test_with_the_images_named_nine_of_ten_without_loss_pass(discordance: float, margin: float) -> None:
    n = images_needed(discordance, margin)
    assert chance_to_pass(n, 0.0, discordance, margin) >= 0.9
    assert chance_to_pass(round(0.8 * n), 0.0, discordance, margin) < 0.9


def test_fewer_discordant_images_and_a_wider_margin_need_fewer_images() -> None:
    assert images_needed(0.005, 0.04) < images_needed(0.01, 0.04) < images_needed(0.01, 0.02)


def test_beyond_what_can_be_summed_the_closed_form_stands() -> None:
    """(1.645 + 1.282)^2 times the discordance over the squared margin: the same in the limit."""
    assert images_needed(0.02, 0.0001) == pytest.approx(8.5639 * 0.02 / 0.0001**2, rel=0.01)


def test_the_chance_at_the_bound_is_the_level() -> None:
    """Summed anew from every result with a score limit as high, at each rate that the discordant images allow."""
    broke, fixed, n = 12, 8, 1000
    bound, limit = lower_bound(broke, fixed, n), score_interval(broke, fixed, n, 0.9)[0]
    discordant = np.arange(120)
    reaching = [
        next(won for won in itertools.count() if won > count or score(count - won, won, n, limit) >= 1.6448)
        for count in range(len(discordant))
    ]
    chances = [
        binom.pmf(discordant, n, rate) @ binom.sf(np.array(reaching) - 1, discordant, (rate + bound) / (2 * rate))
        for rate in np.linspace(-bound, 0.048, 50)
    ]
    assert max(chances) == pytest.approx(0.05, abs=3e-4)
