"""Images that a table lists: a path and a label in each row, and perhaps a split."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from octavo.data.sources.image_files import decoded
from octavo.data.sources.raw import Files, Raw, numbered, some_of
from octavo.project.errors import DataError, some

COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "labels", "class", "class_name", "target", "category"),
    "split": ("split",),
}
"""Column -> the names that it may have, in upper or lower case. A table without `split` is all for train."""
PARTS = ("train", "test")
BAD = 0.1
"""Largest share of rows that are left out. A table with more of them is probably in the wrong folder."""
LONGEST = 40
"""Characters of a column's name that a message shows."""
NO_PATH, NO_LABEL, OTHER_SPLIT = "rows without a path", "rows without a label", "rows of a split but train and test"
OUTSIDE, MISSING = "rows of files outside the table's folder", "rows of files that are missing"
REPEATED, AT_ODDS = "rows that repeat another", "rows of one file with different labels or splits"


class Listing(NamedTuple):
    """One row of a table; empty where it says nothing."""

    place: str
    """Where it is, such as `line 2`."""
    path: str
    label: str
    split: str = ""


def table(path: Path, suffix: str) -> Path:
    """The table at `data.path`, or the only one in that folder, which DVC then watches with its images.

    Raises:
        DataError: there is none, or there are several.
    """
    if path.is_file():
        return path
    found = sorted(path.glob(f"*{suffix}")) if path.is_dir() else []
    if len(found) != 1:
        what = f"{len(found)} tables ({some(each.name for each in found)})" if found else "no table"
        raise DataError(
            f"{path} has {what}. data.path is a {suffix} file, or a folder with one of them and its images."
        )
    return found[0]


def columns(names: Sequence[str], file: Path) -> dict[str, str]:
    """Column of `COLUMNS` -> its name in the table.

    Raises:
        DataError: the table has no path or no label.
    """
    spelled = {name.strip().lower(): name for name in reversed(names)}
    found = {
        column: next((spelled[name] for name in known if name in spelled), None) for column, known in COLUMNS.items()
    }
    if missing := [column for column in ("path", "label") if found[column] is None]:
        known = "; ".join(f"{column} is one of {', '.join(COLUMNS[column])}" for column in missing)
        has = some(_in_a_line(name)[:LONGEST] for name in names) or "none"
        raise DataError(f"{file} has the columns {has}, and needs a path and a label: {known}.")
    return {column: name for column, name in found.items() if name is not None}


def read(file: Path, rows: Sequence[Listing], size: tuple[int, int] | None = None, most: int | None = None) -> Raw:
    """Read the images of a table. Paths are relative to the table's folder, and files are inside it.

    Rows that cannot be used are left out, counted and named.

    Args:
        file: the table.
        rows: its rows.
        size: (height, width) to resize to; None to keep the size.
        most: of the images that are decoded; None for all.

    Raises:
        DataError: too many rows cannot be used, or as `image_files.decoded`.
    """
    bad, places = _bad(file.parent, rows)
    _require_enough(file, rows, bad)
    left_out = {place for found in bad.values() for place in found}
    usable = sorted((place for place in range(len(rows)) if place not in left_out), key=lambda at: _part(rows[at]))
    kept = some_of(usable, most)
    pictures = decoded([places[at] for at in kept], size)
    labels, classes = numbered([rows[at].label.strip() for at in kept])
    n, names = sum(_part(rows[at]) == 0 for at in kept), [rows[at].path.strip() for at in kept]
    if not n:
        raise DataError(f"{file} has no row for train. Set some rows' split to train.")
    return Raw(
        train=(pictures.pixels[:n], labels[:n]),
        test=(pictures.pixels[n:], labels[n:]) if n < len(kept) else None,
        classes=classes,
        files=Files(
            digests=pictures.digests[:n],
            train=tuple(names[:n]),
            test=tuple(names[n:]),
            left_out={kind: tuple(_named(rows[at]) for at in found) for kind, found in sorted(bad.items())},
            changed=pictures.changes,
        ),
        whole=len(kept) == len(usable),
    )


def _part(row: Listing) -> int:
    """0 for train, 1 for test."""
    return PARTS.index(row.split.strip().lower() or PARTS[0])


def _bad(root: Path, rows: Sequence[Listing]) -> tuple[Mapping[str, list[int]], list[Path]]:
    """What is wrong -> indices of the rows; and each row's file."""
    bad: dict[str, list[int]] = defaultdict(list)
    same: dict[Path, list[int]] = defaultdict(list)
    real, places = Path(os.path.realpath(root)), []
    for at, row in enumerate(rows):
        path = root / row.path.strip()
        places.append(path)
        if fault := _fault(row, path, real):
            bad[fault].append(at)
        else:
            same[Path(os.path.realpath(path))].append(at)
    for found in same.values():
        if len({(rows[at].label.strip(), _part(rows[at])) for at in found}) > 1:
            bad[AT_ODDS] += found
        elif len(found) > 1:
            bad[REPEATED] += found[1:]
    return bad, places


def _fault(row: Listing, path: Path, root: Path) -> str | None:
    if not row.path.strip() or "\0" in row.path:
        return NO_PATH
    if not row.label.strip():
        return NO_LABEL
    if row.split.strip().lower() not in ("", *PARTS):
        return OTHER_SPLIT
    if not Path(os.path.realpath(path)).is_relative_to(root):
        return OUTSIDE
    return None if os.path.isfile(path) else MISSING  # noqa: PTH113 - Path.is_file raises for names that are too long


def _require_enough(file: Path, rows: Sequence[Listing], bad: Mapping[str, list[int]]) -> None:
    n = sum(len(found) for kind, found in bad.items() if kind != REPEATED)
    if not rows or n == len(rows) or n > BAD * len(rows):
        told = "; ".join(
            f"{len(found)} {kind}: {some(_named(rows[at]) for at in found)}" for kind, found in bad.items()
        )
        raise DataError(
            f"{file} has {len(rows)} rows, and {n} of them cannot be used{f' ({told})' if told else ''}. Paths are "
            f"relative to {file.parent}, and at most {BAD:.0%} of the rows may be left out. Correct the table."
        )


def _named(row: Listing) -> str:
    return f"{row.place}: {_in_a_line(row.path)}"[:200]


def _in_a_line(text: str) -> str:
    """Text of a table's cell, which may have line breaks."""
    return " ".join(text.split())
