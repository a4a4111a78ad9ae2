"""Notes in a network's folder: remarks for its scorecards, or the reason why the network was not made.

`refused.json` takes the place of the weights or exported files. It is `{"reason": "…"}`, in full sentences.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from octavo.project import paths
from octavo.project.files import atomic_write, json_file
from octavo.project.schema import Record

REMARKS = "remarks.json"
REFUSED = "refused.json"

Kind = TypeVar("Kind")


def write(folder: Path, remarks: Sequence[str]) -> None:
    """Write the remarks on the exported network in `folder`, one sentence each. The list may be empty.

    An earlier refusal in that folder is removed.
    """
    (folder / REFUSED).unlink(missing_ok=True)
    atomic_write.write_text(folder / REMARKS, json.dumps(list(remarks), indent=1, ensure_ascii=False) + "\n")


def read(folder: Path) -> list[str]:
    """The remarks on the exported network in `folder`; empty if none were written.

    Raises:
        ModelError: the file is damaged.
    """
    return _read(folder / REMARKS, list[str]) or []


def refuse(folder: Path, reason: str) -> None:
    """Write `reason` into `folder` in place of the network. Everything else in the folder is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    atomic_write.write_text(folder / REFUSED, json.dumps({"reason": reason}, indent=1, ensure_ascii=False) + "\n")


def refuse_network(name: str, reason: str) -> None:
    """Replace the weights and the exported files of the network called `name` by the reason why it was not made."""
    for folder in (paths.network(name), paths.exported(name)):
        refuse(folder, reason)


def refusal(folder: Path) -> str | None:
    """Why there is no network in `folder`, or None if it was not refused.

    Raises:
        ModelError: the file is damaged.
    """
    found = _read(folder / REFUSED, _Refused)
    return found.reason if found else None


class _Refused(Record, extra="ignore"):
    reason: str


def _read(path: Path, kind: type[Kind]) -> Kind | None:
    return json_file.read_output(path, kind, "a record of training or export") if path.exists() else None
