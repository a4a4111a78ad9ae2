"""Read JSON from outside strictly, so that every reader gets the same content.

Python's own reader keeps the last of several equal keys, accepts NaN and infinity as numbers, and has no limits.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from octavo.project.errors import ModelError
from octavo.project.files import atomic_write

DEEPEST = 100
"""Limit for nested lists and objects."""
DIGITS = 300
"""Limit for the digits of an integer; no float holds a longer one."""

Kind = TypeVar("Kind")
"""A pydantic model, or a type such as `dict[str, str]`."""


class Unreadable(ValueError):
    """Why the JSON cannot be read, as part of a sentence."""


def read(path: Path) -> Any:
    """The content of the JSON file at `path`.

    Raises:
        FileNotFoundError: there is no such file.
        Unreadable: it cannot be read, or as `parse`.
    """
    return parse(_content(path))


def parse(text: bytes | str) -> Any:
    """The content of a JSON document: numbers are finite, and keys are unique.

    Raises:
        Unreadable: it is not UTF-8 or not JSON, has a key twice, a number that is not finite or has more than 300
            digits, half of a surrogate pair, or more than 100 levels.
    """
    try:
        found = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
        _check(found)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from None
    except UnicodeEncodeError:
        raise Unreadable("a text has half of a surrogate pair") from None
    except RecursionError:
        raise Unreadable(f"nested more than {DEEPEST} deep") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error}") from None
    return found


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """The record of that kind in the JSON file at `path`. Raises as `read`, and `Unreadable` as `parse_record`."""
    return parse_record(_content(path), kind)


def read_output(path: Path, kind: type[Kind], what: str) -> Kind:
    """The record of that kind that a stage of the pipeline wrote to `path`.

    Args:
        path: the JSON file.
        kind: of the record.
        what: the record in words, for the message.

    Raises:
        ModelError: the file is missing, or it is not such a record.
    """
    try:
        return read_record(path, kind)
    except FileNotFoundError:
        raise ModelError(f"No {path}. Run dvc repro.") from None
    except Unreadable as error:
        raise ModelError(f"{path} is not {what} ({error}). Run dvc repro.") from None


def parse_record(text: bytes | str, kind: type[Kind]) -> Kind:
    """The record of that kind in a JSON document.

    Raises:
        Unreadable: as `parse`; or it is not such a record; or a figure is NaN or infinite, because pydantic reads "nan"
            as a number.
    """
    parse(text)
    try:
        found = TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        fault, *others = error.errors(include_url=False, include_input=False)
        where = ".".join(map(str, fault["loc"])) or "file"
        more = f", and {len(others)} more faults" if others else ""
        raise Unreadable(f"{where}: {fault['msg']}{more}") from None
    _check_figures(TypeAdapter(kind).dump_python(found))
    return found


def _content(path: Path) -> bytes:
    try:
        return atomic_write.content(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise Unreadable(f"key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def _constant(text: str) -> float:
    raise Unreadable(f"{text} is not a number in JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Unreadable(f"{text[:20]} is too large a number")
    return number


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise Unreadable(f"a number has {len(text):,} digits, allowed are {DIGITS}")
    return int(text)


def _check(found: Any) -> None:
    """Refuse documents with too many levels, and texts that cannot be encoded."""
    for depth, level in enumerate(_levels(found)):
        if depth > DEEPEST:
            raise Unreadable(f"nested more than {DEEPEST} deep")
        for value in level:
            if isinstance(value, str):
                value.encode()


def _check_figures(found: Any) -> None:
    values = (value for level in _levels(found) for value in level)
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        raise Unreadable("a figure is NaN or infinite")


def _levels(found: Any) -> Iterator[list[Any]]:
    """The value, then what is in it, and so on, keys included. It is a loop, because recursion could be too deep."""
    level = [found]
    while level:
        yield level
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value.keys()
                inner += value.values()
            elif isinstance(value, list | tuple):
                inner += value
        level = inner
