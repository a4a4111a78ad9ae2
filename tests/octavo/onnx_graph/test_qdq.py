"""Weights on integer grids."""

import numpy as np
import pytest

from octavo.onnx_graph import qdq


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
