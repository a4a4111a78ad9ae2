"""Tables as CSV with one form: a header, lines that end in a line feed, six decimals, nothing where a value is None."""

import csv
import io
from collections.abc import Iterable, Sequence


def text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """The table as CSV, quoted where needed (RFC 4180, but for the line feeds).

    Args:
        columns: the header.
        rows: a value a column; Python floats get six decimals, None becomes an empty cell.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return buffer.getvalue()
