"""Arrays in a file behave like arrays in memory, whatever the size of the parts in which they are read."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from octavo.project.files import spooled_array
from octavo.project.files.spooled_array import Spool

ARRAYS = arrays.arrays(
    st.sampled_from([np.uint8, np.float32]), arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)
)


def spooled(array: np.ndarray) -> np.ndarray:
    spool = Spool()
    for row in array:
        spool.append(row)
    return spool.array()


@given(ARRAYS, st.data(), st.sampled_from([1, 16, 2**24]), st.sampled_from([0, 2**26]))
def test_rows_of_a_file_are_those_of_memory(array: np.ndarray, draw: Any, part: int, small: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spooled_array, "PART", part)
        patch.setattr(spooled_array, "NEIGHBOURS", 1)
        patch.setattr(spooled_array, "SMALL", small)
        mapped = spooled(array)
        if len(array):
            np.testing.assert_array_equal(mapped, array)
            places = np.array(draw.draw(st.lists(st.integers(0, len(array) - 1), max_size=9)), np.intp)
            mask = np.array(draw.draw(st.lists(st.booleans(), min_size=len(array), max_size=len(array))), np.bool_)
            for rows in (places, mask):
                taken = spooled_array.take(mapped, rows)
                np.testing.assert_array_equal(taken, array[rows])
                assert (taken.shape, taken.dtype) == (array[rows].shape, array.dtype)
            np.testing.assert_array_equal(np.concatenate(list(spooled_array.parts(mapped))), array)
            np.testing.assert_array_equal(spooled_array.changed(mapped, lambda rows: rows * 2), array * 2)
            spooled_array.release(mapped)
            np.testing.assert_array_equal(mapped, array)


def test_an_array_is_read_only_and_outlives_its_spool() -> None:
    array = spooled(np.arange(12, dtype=np.uint8).reshape(3, 4))
    assert not array.flags.writeable
    assert int(array.sum()) == 66
