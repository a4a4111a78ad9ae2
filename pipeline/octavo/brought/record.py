"""What a brought network leaves in place of a training: a record of its file."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from octavo.backends import network_notes
from octavo.project import paths
from octavo.project.files import atomic_write
from octavo.project.schema import Record


class BroughtRecord(Record):
    """`brought.json`."""

    file: str
    """As `params.yaml` names it."""
    sha256: str
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
        sha256=atomic_write.digest(file, "sha256"),
        exact=exact,
        difference=difference,
        spread=spread,
    )
    (paths.network(name) / network_notes.REFUSED).unlink(missing_ok=True)
    atomic_write.write_text(paths.brought(name), found.model_dump_json(indent=1) + "\n")


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
