"""Orders of axes: a tensor in another order holds the same values."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.quantization.litert import layouts

SIZES = st.sampled_from([1, 1, 2, 3, 4, 6])
SHAPES = st.lists(SIZES, min_size=1, max_size=5)


@st.composite
def reshapes(draw: st.DrawFn) -> tuple[list[int], list[int], layouts.Order]:
    """A shape, another one of as many values, and an order of the first one's axes."""
    source = draw(SHAPES)
    left, target = int(np.prod(source)), list[int]()
    while left > 1 and len(target) < 4:
        target.append(draw(st.sampled_from([size for size in range(1, left + 1) if left % size == 0])))
        left //= target[-1]
    target = [*target, left] if left > 1 or not target else target
    for _ in range(draw(st.integers(0, 2))):
        target.insert(draw(st.integers(0, len(target))), 1)
    return source, target, tuple(draw(st.permutations(range(len(source)))))


@settings(deadline=None, max_examples=300)
@given(reshapes())
def test_a_reshape_in_the_orders_found_gives_the_same_values(case: tuple[list[int], list[int], layouts.Order]) -> None:
    source, target, held = case
    before, after = layouts.regrouped(source, target, held)
    assert sorted(before) == list(range(len(source)))
    assert sorted(after) == list(range(len(target)))
    values = np.arange(np.prod(source)).reshape(source)
    moved = values.transpose(before).reshape(layouts.shaped(target, after))
    np.testing.assert_array_equal(moved, values.reshape(target).transpose(after))


def test_groups_of_axes_stay_where_they_are() -> None:
    """Channels split in two, held last: nothing moves."""
    assert layouts.regrouped((7, 8, 5, 4), (7, 2, 4, 5, 4), (0, 2, 3, 1)) == ((0, 2, 3, 1), (0, 3, 4, 1, 2))
    assert layouts.regrouped((7, 8, 5, 4), (7, 8, 20), (0, 2, 3, 1)) == ((0, 2, 3, 1), (0, 2, 1))


def test_what_is_joined_comes_in_its_own_order() -> None:
    assert layouts.regrouped((7, 8, 5, 4), (7, 160), (0, 2, 3, 1)) == ((0, 1, 2, 3), (0, 1))


@settings(deadline=None, max_examples=100)
@given(SHAPES, st.data())
def test_transposes_compose(shape: list[int], data: st.DataObject) -> None:
    held, wanted, axes = (tuple(data.draw(st.permutations(range(len(shape))))) for _ in range(3))
    values = np.random.default_rng(0).random(shape)
    tensor = values.transpose(held)
    np.testing.assert_array_equal(tensor.transpose(layouts.between(held, wanted)), values.transpose(wanted))
    np.testing.assert_array_equal(values.transpose(axes).transpose(layouts.transposed(held, axes)), tensor)
    if layouts.stays(shape, held, wanted):
        np.testing.assert_array_equal(tensor.ravel(), values.transpose(wanted).ravel())


@settings(deadline=None, max_examples=60)
@given(st.lists(SIZES, min_size=2, max_size=4), st.data())
def test_features_say_which_one_lies_where(shape: list[int], data: st.DataObject) -> None:
    order = (0, *(axis + 1 for axis in data.draw(st.permutations(range(len(shape) - 1)))))
    values = np.random.default_rng(0).random(shape)
    held = values.transpose(order).reshape(shape[0], -1)
    np.testing.assert_array_equal(held, values.reshape(shape[0], -1)[:, layouts.features(shape, order)])


def test_removed_axes_leave_the_order_of_the_others() -> None:
    values = np.random.default_rng(0).random((2, 3, 4, 5))
    order = layouts.channels_last(4)
    left = layouts.without(order, (2, 3))
    np.testing.assert_array_equal(values.sum((2, 3)).transpose(left), values.transpose(order).sum((1, 2)))
    assert layouts.without(order, (1,)) == (0, 1, 2)
    assert layouts.place(order, -3) == 3
