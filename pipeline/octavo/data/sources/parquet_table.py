"""A user's Parquet file with a path and a label in each row."""

from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from octavo.data.sources import listed_images
from octavo.data.sources.listed_images import Listing, columns
from octavo.data.sources.raw import Raw
from octavo.project.errors import DataError


def read(path: Path, size: tuple[int, int] | None = None, most: int | None = None) -> Raw:
    """Read the images of a Parquet file with the columns in `listed_images.COLUMNS`: texts, or integers for labels.

    Args:
        path: of the file, or of a folder with one Parquet file.
        size: (height, width) to resize to; None to keep the size.
        most: of the images that are decoded; None for all.

    Raises:
        DataError: the table cannot be read, or as `listed_images.read`.
    """
    file = listed_images.table(path, ".parquet")
    try:
        with parquet.ParquetFile(file) as opened:
            found = columns(opened.schema_arrow.names, file)
            table = opened.read(columns=list(found.values()))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(f"{file} cannot be read as Parquet: {said}. Write it again.") from None
    values = {column: [_text(value, file, name) for value in table[name].to_pylist()] for column, name in found.items()}
    splits = values.get("split") or [""] * table.num_rows
    rows = zip(values["path"], values["label"], splits, strict=True)
    listings = [Listing(f"row {number}", *cells) for number, cells in enumerate(rows, 1)]
    return listed_images.read(file, listings, size, most)


def _text(value: Any, file: Path, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise DataError(f"{file}: column {name} holds a {type(value).__name__}. Give texts, or integers for labels.")
    return "" if value is None else str(value)
