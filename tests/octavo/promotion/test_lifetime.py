"""A year of nights on one test set: what each may spend, in which order, and what that comes to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from octavo.evaluation.scorecard import Scorecards
from octavo.project.params.nightly import Nightly
from octavo.project.params.policy import Policy
from octavo.promotion import lifetime
from octavo.statistics.noninferiority import chance_to_pass, fewest_fixed

pytestmark = pytest.mark.slow

CHANCE = Nightly().false_promotions or 0.0
NIGHT = CHANCE / 365
VARIANTS = 9
"""Of params.yaml, the baseline left out."""


@given(st.integers(1, 200))
def test_variants_share_a_night_and_none_has_more_than_the_one_before(variants: int) -> None:
    found = lifetime.shares(variants)
    assert len(found) == variants
    assert sum(found) == pytest.approx(1, abs=1e-12)
    assert min(found) > 0
    assert found == sorted(found, reverse=True)
    assert found[0] >= 0.75


def test_without_variants_there_is_nothing_to_share() -> None:
    assert lifetime.shares(0) == []


@pytest.mark.parametrize(("n", "margin"), [(60, 0.2), (359, 0.03), pytest.param(1000, 0.01, marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", [0, 8])
def test_a_loss_at_the_margin_passes_no_more_often_than_its_share_says(n: int, margin: float, place: int) -> None:
    """Summed over every result there is, at discordance rates from the margin on."""
    level = NIGHT * lifetime.shares(VARIANTS)[place]
    discordant = np.arange(n + 1)
    fewest = fewest_fixed(discordant, n, margin, 1 - level)
    rates = np.append(margin + np.geomspace(1e-9, 0.4 - margin, 60), 0.99)[:, None]
    chances = binom.pmf(discordant, n, rates) * binom.sf(fewest - 1, discordant, (rates - margin) / (2 * rates))
    assert 0.5 * level < chances.sum(1).max() <= level


def test_a_year_of_nights_that_do_not_resemble_each_other_keeps_the_promise() -> None:
    """Every variant of every night loses the margin, and none tells of another: where a union bound has least to spare.

    The same year by the rule for one promotion, and with all variants of a night at the night's level.
    """
    n, margin, rate = 1000, 0.02, 0.08

    def any_of_a_year(levels: list[float]) -> float:
        kept = [1 - chance_to_pass(n, -margin, rate, margin, 1 - level) for level in levels]
        return float(1 - np.prod(kept) ** 365)

    tonight = any_of_a_year([NIGHT * share for share in lifetime.shares(VARIANTS)])
    assert 0.5 * CHANCE < tonight <= CHANCE
    assert any_of_a_year([0.05] * VARIANTS) > 0.99
    assert any_of_a_year([NIGHT] * VARIANTS) > 4 * CHANCE


def test_the_first_variant_has_the_power_that_equal_shares_leave_to_none() -> None:
    """Without loss, at 10,000 images of which 1% are discordant, and a margin of half a point."""
    first, equal = NIGHT * lifetime.shares(VARIANTS)[0], NIGHT / VARIANTS
    assert chance_to_pass(10_000, 0.0, 0.01, 0.005, 1 - first) > 0.8
    assert chance_to_pass(10_000, 0.0, 0.01, 0.005, 1 - equal) < 0.75


def test_what_looks_worse_on_the_selection_split_comes_last(scorecards: Scorecards, policy: Policy) -> None:
    names = ["onnx_int8_static", "litert_int8_dynamic", "litert_int8_static", "litert_int8_qat"]
    cards = [scorecards.card(name) for name in names]
    fastest = ["litert_int8_dynamic", "litert_int8_static", "litert_int8_qat", "onnx_int8_static"]
    right = dict.fromkeys(names, 0.96)
    assert lifetime.order(cards, policy, right, 0.96) == fastest
    assert lifetime.order(cards, policy, {}, 0.0) == fastest
    a_little, much = 0.96 - policy.max_accuracy_drop * 0.4, 0.96 - policy.max_accuracy_drop * 0.6
    assert lifetime.order(cards, policy, right | {fastest[0]: a_little}, 0.96) == fastest
    lost = right | {fastest[0]: much - 0.01, fastest[1]: much}
    assert lifetime.order(cards, policy, lost, 0.96) == [*fastest[2:], fastest[1], fastest[0]]
    by_accuracy = policy.model_copy(update={"prefer": ("accuracy", "size")})
    assert lifetime.order(cards, by_accuracy, right | {fastest[3]: 0.97}, 0.96)[0] == fastest[3]


def test_what_the_test_split_says_changes_no_order(scorecards: Scorecards, policy: Policy) -> None:
    cards = [card for card in scorecards.scorecards if card.variant != "onnx_fp32"]
    other = [
        card.model_copy(update={"quality": card.quality.model_copy(update={"top1": 0.9 + place / 100})})
        for place, card in enumerate(cards)
    ]
    for prefer in (("accuracy",), ("latency", "accuracy"), ("size",)):
        asked = policy.model_copy(update={"prefer": prefer})
        assert lifetime.order(cards, asked, {}, 0.0) == lifetime.order(other, asked, {}, 0.0)
