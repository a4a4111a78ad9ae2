"""Orders of axes. ONNX has the channels first, LiteRT last. A tensor holds a value in some order of the value's axes.

An order is a tuple: axis `i` of the tensor is axis `order[i]` of the value.
"""

from collections.abc import Iterator, Sequence

import numpy as np

Order = tuple[int, ...]


def same(rank: int) -> Order:
    """The order of the value itself."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """The order that LiteRT's kernels take of a value (N, C, ...)."""
    return (0, *range(2, rank), 1) if rank > 1 else same(rank)


def transposed(order: Order, axes: Sequence[int]) -> Order:
    """The order in which a tensor holds `transpose(value, axes)`, if it holds `value` in `order`."""
    return tuple(list(axes).index(axis) for axis in order)


def between(held: Order, wanted: Order) -> Order:
    """The axes that turn a tensor in order `held` into one in order `wanted`: of NumPy's transpose."""
    return tuple(held.index(axis) for axis in wanted)


def place(order: Order, axis: int) -> int:
    """Where the value's axis lies in the tensor. The axis may count from the end."""
    return order.index(axis % len(order))


def without(order: Order, axes: Sequence[int]) -> Order:
    """The order that is left if these axes of the value are removed."""
    kept = [axis for axis in order if axis not in axes]
    return tuple(sorted(kept).index(axis) for axis in kept)


def shaped(shape: Sequence[int], order: Order) -> tuple[int, ...]:
    """The shape of the tensor that holds a value of `shape`."""
    return tuple(shape[axis] for axis in order)


def features(shape: Sequence[int], order: Order) -> np.ndarray:
    """For a value of `shape` whose axes behind the first are flattened from a tensor in `order`: which feature of the
    value lies at each place, int (features,).
    """
    numbers = np.arange(int(np.prod(shape[1:]))).reshape(1, *shape[1:])
    return numbers.transpose(order).ravel()


def stays(shape: Sequence[int], held: Order, wanted: Order) -> bool:
    """Whether two orders of a value of `shape` have the same values one after another: only axes of size 1 move.

    The first axis counts as larger, because it is the batch.

    Args:
        shape: of the value, for one example.
        held: the order that a tensor has.
        wanted: the order that is asked for.
    """
    sizes = [max(size, 2) if axis == 0 else size for axis, size in enumerate(shape)]
    first, second = ([axis for axis in order if sizes[axis] > 1] for order in (held, wanted))
    return first == second


def regrouped(source: Sequence[int], target: Sequence[int], held: Order) -> tuple[Order, Order]:
    """The orders in which a tensor can be reshaped so that few values move.

    A reshape joins and splits groups of neighbouring axes. The groups may lie in any order, as long as the axes of each
    follow one another.

    Args:
        source: shape of the value before.
        target: shape after.
        held: order in which a tensor holds the value.

    Returns:
        The order to bring the tensor into first, as near to `held` as can be, and the order of the result.
    """
    groups = list(_groups(source, target))
    groups.sort(key=lambda group: min((held.index(axis) for axis in group[0]), default=len(held)))
    return tuple(axis for before, _ in groups for axis in before), tuple(axis for _, after in groups for axis in after)


def _groups(source: Sequence[int], target: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Axes before and after that hold the same values, as few of each as can be. Size 1 goes to the axes before it."""
    first = second = 0
    while first < len(source) or second < len(target):
        before, after = ([place] if place < len(shape) else [] for place, shape in ((first, source), (second, target)))
        sizes = [source[first] if before else 1, target[second] if after else 1]
        first, second = first + len(before), second + len(after)
        while (
            sizes[0] != sizes[1]
            or (first < len(source) and source[first] == 1)
            or (second < len(target) and target[second] == 1)
        ):
            if first < len(source) and (sizes[0] < sizes[1] or source[first] == 1):
                before.append(first)
                sizes[0] *= source[first]
                first += 1
            else:
                after.append(second)
                sizes[1] *= target[second]
                second += 1
        yield before, after
