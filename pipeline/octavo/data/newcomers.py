"""Images that were added since the data were last prepared, with the names that the user knows."""

import json
import re
from pathlib import Path

from octavo.data.duplicates import pixel_digests
from octavo.data.partition import DISJOINT
from octavo.data.splits import load_split
from octavo.project.errors import DataError
from octavo.project.files import atomic_write, json_file
from octavo.project.schema import Record

NAMES = "names.json"
SHOWN = 3
"""How many names are shown."""


class Newcomers(Record):
    """The added images."""

    n: int
    first: tuple[str, ...]
    """The first few names, in order."""

    def __str__(self) -> str:
        more = f" and {self.n - len(self.first):,} more" if self.n > len(self.first) else ""
        return f"New are {', '.join(self.first)}{more}."


def write_names(folder: Path, names: tuple[str, ...]) -> None:
    """Write the user's names of the images beside the arrays of a split."""
    atomic_write.write_text(folder / NAMES, json.dumps(names, indent=0, ensure_ascii=False) + "\n")


def pixels_of(data: Path) -> set[bytes] | None:
    """Digests of all prepared images; None if nothing is prepared."""
    try:
        return {digest for name in DISJOINT for digest in pixel_digests(load_split(data / name).images).tolist()}
    except DataError:
        return None


def since(before: set[bytes] | None, data: Path) -> Newcomers | None:
    """The added images among the prepared ones; None if there are none, or if that is unknown.

    Args:
        before: from `pixels_of`, when the data were last prepared.
        data: the folder of the splits.
    """
    if before is None:
        return None
    found: list[str] = []
    for name in DISJOINT:
        digests = pixel_digests(load_split(data / name).images).tolist()
        found += [called for called, digest in zip(_names(data / name), digests, strict=False) if digest not in before]
    return Newcomers(n=len(found), first=tuple(sorted(found, key=_by_number)[:SHOWN])) if found else None


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sort key that puts `2.png` before `10.png`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _names(folder: Path) -> list[str]:
    try:
        return [str(name) for name in json_file.read(folder / NAMES)]
    except (OSError, json_file.Unreadable, TypeError):
        return []
