"""Compare weights stored as integers with the float weights that they were made from."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np

from octavo.onnx_graph import canonicalize, qdq
from octavo.onnx_graph.integer_ranges import Stored
from octavo.onnx_graph.rewrites import equalization, preparation

ROUNDING = 0.51
"""Largest distance of a value from its integer, in steps: half a step for rounding, and a little for float32."""
ENOUGH = 0.999
"""Share of the elements that must round to the stored integers. Another converter folds batch normalization a little
differently, which moves a few of them by one step."""
FEW = 4096
"""Number of elements that are compared first, as a quick test."""


def count(stored: Sequence[Stored], network: Path) -> tuple[int, int]:
    """Count clipped elements, and elements of constants whose float values are not found.

    Args:
        stored: constants of a model file.
        network: the exported ONNX network that the file was made from.

    Returns:
        Number of clipped elements, and number of elements in unmatched constants.
    """
    clipped, left = 0, list(stored)
    for sources in _sources(network):
        found = {place: cut for place, each in enumerate(left) if (cut := _cut_off(each, sources)) is not None}
        clipped += sum(found.values())
        left = [each for place, each in enumerate(left) if place not in found]
        if not left:
            break
    return clipped, sum(each.integers.size for each in left)


def _sources(network: Path) -> Iterator[list[np.ndarray]]:
    """The network's float constants: as exported, then as prepared for quantization, then prepared and equalized."""
    model = canonicalize.load(network)
    yield _floats(qdq.initializers(model).values())
    preparation.prepare(model)
    yield _floats(qdq.initializers(model).values())
    if equalization.applies(model):
        yield _floats(qdq.initializers(equalization.equalize(model)).values())


def _floats(constants: Iterable[np.ndarray]) -> list[np.ndarray]:
    return [array for array in constants if array.dtype == np.float32]


def _cut_off(stored: Stored, sources: Sequence[np.ndarray]) -> int | None:
    """Number of elements beyond the range; None if no source rounds to the integers."""
    low, high = _ends(stored.integers)
    shape = stored.integers.shape
    integers, scale, zero = (_squeezed(each, shape) for each in (stored.integers, stored.scale, stored.zero))
    for source in sources:
        for arranged in _arranged(source, integers.shape):
            if _is_made_of(integers, scale, zero, arranged, (low, high)):
                steps = arranged / scale + zero
                return int(np.count_nonzero((steps > high + ROUNDING) | (steps < low - ROUNDING)))
    return None


def _is_made_of(
    integers: np.ndarray, scale: np.ndarray, zero: np.ndarray, source: np.ndarray, ends: tuple[int, int]
) -> bool:
    every = max(1, integers.size // FEW)
    for step in (every, 1):
        scales, zeros = (np.broadcast_to(each, integers.shape).ravel()[::step] for each in (scale, zero))
        steps = np.clip(source.ravel()[::step] / scales + zeros, *ends)
        if np.mean(np.abs(steps - integers.ravel()[::step]) <= ROUNDING) < ENOUGH:
            return False
    return True


def _ends(integers: np.ndarray) -> tuple[int, int]:
    """Lowest and highest integer of the range. Symmetric quantization starts at -127, unless -128 occurs."""
    limits = np.iinfo(integers.dtype)
    narrow = limits.min < 0 and not (integers == limits.min).any()
    return limits.min + narrow, limits.max


def _arranged(source: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Every transposition of the source that has this shape. Axes of size 1 are removed."""
    bare = source.squeeze().astype(np.float64)
    if sorted(bare.shape) == sorted(shape):
        yield from (
            bare.transpose(order)
            for order in permutations(range(bare.ndim))
            if tuple(bare.shape[axis] for axis in order) == shape
        )


def _squeezed(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array without the axes that have size 1 in `shape`."""
    kept = tuple(size for axis, size in enumerate(array.shape) if shape[axis] != 1) if array.ndim else ()
    return array.reshape(kept).astype(np.float64)
