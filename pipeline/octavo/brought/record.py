"""What a brought network leaves in place of a training: a record of its file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from octavo.backends import network_notes
from octavo.project import paths
from octavo.project.files import atomic_write
from octavo.project.git.revision import digest
from octavo.project.schema import Record


class BroughtRecord(Record):
    """`brought.json`."""

    file: str
    """As `params.yaml` names it."""
    sha256: str
    """Of the file; of a folder, that of the names and digests of all files in it."""
    exact: bool
    """Whether the exported network gives the outputs of the file bit for bit."""
    difference: float
    """The largest difference between an output of the exported network and of the file."""
    spread: float
    """The range of the outputs: the largest minus the smallest one."""


def write(name: str, file: Path, exact: bool, difference: float, spread: float) -> None:
    """Write the record of the network called `name`.

    Args:
        name: of the network.
        file: that it was read from.
        exact: field of the record, as the two that follow.
        difference: see `BroughtRecord`.
        spread: see `BroughtRecord`.
    """
    found = BroughtRecord(
        file=str(file),
        sha256=_digest(file),
        exact=exact,
        difference=difference,
        spread=spread,
    )
    (paths.network(name) / network_notes.REFUSED).unlink(missing_ok=True)
    atomic_write.write_text(paths.brought(name), found.model_dump_json(indent=1) + "\n")


def _digest(file: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and digests of its files."""
    if file.is_file():
        return atomic_write.digest(file, "sha256")
    inside = {str(path.relative_to(file)): path for path in file.rglob("*") if path.is_file()}
    return digest({name: atomic_write.digest(path, "sha256") for name, path in inside.items()})


@contextmanager
def replaced(name: str) -> Iterator[None]:
    """Replace the folders of the network called `name` by new ones. If that fails, none is left half-written."""
    folders = (paths.network(name), paths.exported(name))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        yield
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise
