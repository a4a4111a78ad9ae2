"""Weights on integer grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline import qdq
from pipeline.recipes.qat_int8 import recover_grid

integers = arrays(np.int8, st.tuples(st.integers(1, 4), st.integers(4, 40)), elements=st.integers(-127, 127))


def real(grid: qdq.Grid) -> np.ndarray:
    scale = grid.scale if grid.axis is None else np.expand_dims(grid.scale, 1 - grid.axis)
    return np.asarray(grid.integers * scale, np.float32)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_the_nearest_grid_is_within_half_a_step(axis: int | None) -> None:
    weights = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    grid = qdq.nearest(weights, axis)
    assert grid.integers.dtype == np.int8
    assert np.abs(grid.integers).max() == 127
    step = grid.scale if grid.axis is None else np.expand_dims(grid.scale, 1 - grid.axis)
    assert (np.abs(real(grid) - weights) <= 0.5001 * step).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    grid = qdq.nearest(np.zeros((2, 3), np.float32), 0)
    np.testing.assert_array_equal(real(grid), 0)


@given(integers, st.lists(st.floats(1e-4, 10), min_size=4, max_size=4))
def test_weights_on_a_grid_come_back_without_rounding(steps: np.ndarray, scales: list[float]) -> None:
    """As after folding batch normalization: every channel's grid has been rescaled."""
    weights = (steps * np.array(scales[: len(steps)], np.float32)[:, None]).astype(np.float32)
    grid = recover_grid(weights, 0)
    assert grid is not None
    np.testing.assert_allclose(real(grid), weights, rtol=1e-5)


def test_weights_that_were_never_quantized_are_recognized() -> None:
    assert recover_grid(np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32), 0) is None
