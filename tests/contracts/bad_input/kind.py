"""One kind of bad input: how to make it, what meets it, and what the user is told."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from octavo.project import paths


class Kind(NamedTuple):
    """One kind of bad input."""

    subject: str
    name: str
    meet: Callable[[], object]
    """What the user does, in a project's folder. It first makes the bad input, if that is a file."""
    told: str
    """A part of the sentence: what is bad, what is allowed, or the next step."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.name}"


GOOD = {
    paths.MANIFEST: b"the last good manifest",
    paths.split("test") / "images.npy": b"the last good images",
    paths.exported("theirs") / "model.onnx": b"the last good network",
    paths.ARTIFACTS / "models/onnx_fp32/model.onnx": b"the last good model",
    paths.SCORECARDS: b"the last good scorecards",
    paths.DECISION: b"the last good decision",
}
"""Outputs of a run before, which must stay as they are."""


def write_good() -> None:
    for path, content in GOOD.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def changed() -> dict[Path, bytes | None]:
    """The last good outputs that are gone, or have other bytes; and what else lies beside them."""
    found = {
        path: path.read_bytes()
        for folder in (paths.ARTIFACTS, paths.REPORTS)
        for path in folder.rglob("*.*")
        if path.is_file()
    }
    return {path: found.get(path) for path in GOOD.keys() | found.keys() if found.get(path) != GOOD.get(path)}
