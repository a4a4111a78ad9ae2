"""Where an image belongs: the same whatever else is there, on both sides of every cut, and as likely as asked for."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from octavo.data.split_assignment import draws, held_out, image_digests, stratified


def different(n: int) -> npt.NDArray[np.uint8]:
    """(n, 1, 2) images that all differ; those of a smaller n are the first of them."""
    return np.arange(n, dtype="<u2").view(np.uint8).reshape(n, 1, 2)


DIGESTS = image_digests(different(2000))


def test_draws_never_change_since_every_project_s_splits_hang_on_them() -> None:
    assert draws(DIGESTS[:3], 0, "test").tolist() == [0.6512508656664356, 0.5515621834631118, 0.15975758462985845]


def test_draws_are_uniform_and_independent_between_seeds_and_purposes() -> None:
    columns = [draws(DIGESTS, seed, purpose) for seed in (0, 1, -1, 2**80) for purpose in ("test", "selection")]

    for column in columns:
        assert column.min() >= 0
        assert column.max() < 1
        assert kstest(column, "uniform").pvalue > 0.001
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.1


def test_the_share_is_kept_but_for_chance() -> None:
    labels = np.arange(2000) % 10
    shares = [held_out(DIGESTS, labels, 0.2, seed, "test", leave=2).mean() for seed in range(100)]

    assert abs(np.mean(shares) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 2000 / 100)
    assert np.std(shares) == pytest.approx(np.sqrt(0.2 * 0.8 / 2000), rel=0.3)


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(3, 12), min_size=1, max_size=5),
    gone=st.sets(st.integers(0, 59)),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 99),
    share=st.sampled_from([0.05, 0.2, 0.9]),
)
def test_an_image_changes_sides_only_where_its_class_would_be_missing_on_one(
    sizes: list[int], gone: set[int], order: Any, seed: int, share: float
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    everything = list(range(len(labels)))
    order.shuffle(everything)
    needed = {number for number in everything if (labels[:number] == labels[number]).sum() < 3}
    kept = [number for number in everything if number in needed or number not in gone]
    drawn = draws(DIGESTS, seed, "test")

    for numbers in (np.array(everything), np.array(kept)):
        held = held_out(DIGESTS[numbers], labels[numbers], share, seed, "test", leave=2)
        for label in np.unique(labels):
            own = labels[numbers] == label
            low = drawn[numbers[own]] < share
            if 1 <= low.sum() <= own.sum() - 2:
                np.testing.assert_array_equal(held[own], low)
            else:
                assert held[own].sum() == (1 if low.sum() == 0 else own.sum() - 2)
                assert drawn[numbers[own & held]].max() < drawn[numbers[own & ~held]].min()


def test_an_image_that_stands_in_two_classes_is_on_one_side_in_any_order() -> None:
    digests, labels = DIGESTS[[*range(20), *range(10)]], np.repeat([1, 0], [20, 10])
    held = held_out(digests, labels, 0.3, 0, "test", leave=1)

    np.testing.assert_array_equal(held[:10], held[20:])
    np.testing.assert_array_equal(held_out(digests[::-1], labels[::-1], 0.3, 0, "test", leave=1), held[::-1])


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=6), data=st.data())
def test_a_stratified_choice_has_its_size_and_each_class_in_proportion(sizes: list[int], data: Any) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    n = data.draw(st.integers(1, len(labels)))
    chosen = stratified(DIGESTS[: len(labels)], labels, n, 0, "calibration")

    assert len(set(chosen)) == n
    assert chosen.tolist() == sorted(chosen)
    counts = np.bincount(labels[chosen], minlength=len(sizes))
    assert (np.abs(counts - n * np.array(sizes) / len(labels)) < 1).all()


def test_a_stratified_choice_hardly_changes_as_images_come() -> None:
    labels = np.arange(2000) % 10
    before, after = (set(stratified(DIGESTS[:n], labels[:n], 500, 0, "calibration").tolist()) for n in (1900, 2000))
    assert len(before & after) > 460
