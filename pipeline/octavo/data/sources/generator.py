"""Examples from a user's own function, one after the other, so that they may be larger than memory."""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from octavo.data.sources.raw import Array, Raw, numbered
from octavo.project import foreign_code, story
from octavo.project.errors import DataError
from octavo.project.files.spooled_array import Spool

PARTS = ("train", "test")
MOST = 10_000_000
"""Limit for the number of examples: a generator may never end."""
FORM = "(example, label) or (example, label, 'train' or 'test')"


class Given(NamedTuple):
    """What a generator gave."""

    value: Array
    label: str | int
    part: str


def read(name: str, path: Path) -> Raw:
    """Call the user's function with the path, and take its examples until it ends.

    The function returns an iterable of `FORM`. All examples have the same shape and type, uint8 or float. Labels are
    class names or numbers.

    Args:
        name: `module:function`.
        path: `data.path`, where the function may find its files.

    Raises:
        ParamsError: the function cannot be imported, or takes other arguments.
        DataError: it raises an error, gives something else, or does not end.
    """
    what = f"Generator '{name}'"
    function = foreign_code.function(name, what, (path,), "the path in data.path")
    spools, labels = {part: Spool() for part in PARTS}, {part: list[str | int]() for part in PARTS}
    first: Given | None = None
    with story.counter("read examples") as advance:
        for place, example in _examples(function, path, what):
            first = first or example
            if (example.value.shape, example.value.dtype) != (first.value.shape, first.value.dtype):
                raise DataError(
                    f"{what}: example {place} is {example.value.dtype} {example.value.shape}, the first one is "
                    f"{first.value.dtype} {first.value.shape}. Give all of them one shape and type."
                )
            spools[example.part].append(example.value)
            labels[example.part].append(example.label)
            advance()
    if not labels["train"]:
        raise DataError(f"{what} gave no example for train. Give {FORM} for each.")
    numbers, classes = numbered([*labels["train"], *labels["test"]])
    n = len(labels["train"])
    test = (spools["test"].array(), numbers[n:]) if labels["test"] else None
    return Raw((spools["train"].array(), numbers[:n]), test, classes)


def _examples(function: Any, path: Path, what: str) -> Iterator[tuple[int, Given]]:
    """What the function gives, checked, with its place. Errors of the function become sentences."""
    with foreign_code.code(what, DataError):
        found = function(path)
        if not isinstance(found, Iterable):
            raise DataError(f"{what} returns a {type(found).__name__}. It must be a generator of {FORM}.")
        given = iter(found)
    for place in count():
        with foreign_code.code(f"{what}, example {place}", DataError):
            item = next(given, None)
        if item is None:
            return
        if place >= MOST:
            raise DataError(f"{what} gave {MOST:,} examples and did not end; more are not allowed. Let it end earlier.")
        yield place, _checked(item, f"{what}: example {place}")


def _checked(item: Any, what: str) -> Given:
    if not isinstance(item, tuple) or len(item) not in (2, 3):
        got = f"a tuple of {len(item)}" if isinstance(item, tuple) else f"a {type(item).__name__}"
        raise DataError(f"{what} is {got}. Give {FORM}.")
    value, label, part = (*item, PARTS[0])[:3]
    if not isinstance(label, str):
        with foreign_code.code(what, DataError):
            label = label.item() if isinstance(label, np.generic | np.ndarray) and label.ndim == 0 else label
    if isinstance(label, bool) or not isinstance(label, str | int):
        raise DataError(f"{what} has the label {label!r:.60}. Give a class name or an integer.")
    if part not in PARTS:
        raise DataError(f"{what} is for {part!r:.60}. Give 'train' or 'test'.")
    with foreign_code.code(what, DataError):
        array = np.array(value)
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise DataError(f"{what} is {array.dtype} {array.shape}. Give uint8 in 0..255, or floats.")
    return Given(array, label, part)
