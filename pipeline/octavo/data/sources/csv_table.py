"""A user's CSV file with a path and a label in each row."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

from octavo.data.sources import listed_images
from octavo.data.sources.listed_images import Listing, columns
from octavo.data.sources.raw import Raw
from octavo.project.errors import DataError
from octavo.project.files import atomic_write

DELIMITERS = ",;\t"
LARGEST = 2**28
"""Limit for the bytes of a table."""


def read(path: Path, size: tuple[int, int] | None = None, most: int | None = None) -> Raw:
    """Read the images of a CSV file in UTF-8, with commas, semicolons or tabs.

    Its first line names the columns (`listed_images.COLUMNS`). It may be missing if a row is a path and a label.

    Args:
        path: of the file, or of a folder with one CSV file.
        size: (height, width) to resize to; None to keep the size.
        most: of the images that are decoded; None for all.

    Raises:
        DataError: the table cannot be read, or as `listed_images.read`.
    """
    file = listed_images.table(path, ".csv")
    lines = _lines(file)
    names = ["path", "label"] if _is_row(lines[0][1], file.parent) else lines.pop(0)[1]
    places = {column: names.index(name) for column, name in columns(names, file).items()}
    rows = []
    for number, cells in lines:
        given = {column: cells[place] for column, place in places.items() if place < len(cells)}
        rows.append(Listing(f"line {number}", given.get("path", ""), given.get("label", ""), given.get("split", "")))
    return listed_images.read(file, rows, size, most)


def _is_row(cells: Sequence[str], root: Path) -> bool:
    """Whether the first line is no header, but a file and its label."""
    return len(cells) == 2 and os.path.isfile(root / cells[0].strip())  # noqa: PTH113 - as in listed_images


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """The numbers and cells of the lines that are not empty, one or more."""
    try:
        text = atomic_write.content(file, LARGEST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8: byte {error.start} is {error.object[error.start]:#x}. Save it as UTF-8."
        ) from None
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from None
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
    try:
        found = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}, is not CSV: {error}. Correct the line.") from None
    if not found:
        raise DataError(f"{file} is empty. Its rows have a path and a label.")
    return found
