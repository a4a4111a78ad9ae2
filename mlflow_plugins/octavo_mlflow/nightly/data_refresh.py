"""Get new data for the night: by the user's command, by `dvc update` of an import, or by `dvc pull`.

A folder that has changed in place needs nothing here, because `dvc repro` notices it.
"""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from octavo.project.errors import DataError, OctavoError, ServiceUnavailable
from octavo.project.files import atomic_write
from octavo.project.git import revision
from octavo.project.params.params import Params
from octavo_mlflow.nightly.dvc import dvc


def refresh(params: Params, log: Path) -> None:
    """Bring the data at `data.path` up to date by the means that their source offers. Output is appended to `log`.

    Raises:
        ServiceUnavailable: the command, the source of the import or the remote failed.
        DataError: the `.dvc` file cannot be read.
    """
    if params.nightly.fetch:
        _run(params.nightly.fetch, log)
    tracked = Path(f"{params.data.path}.dvc")
    if params.data.path is None or not tracked.is_file():
        return
    try:
        if _tracked(tracked).get("deps"):
            dvc(log, "update", str(tracked))
        elif dvc(log, "remote", "default").lines and not _changed_here(tracked, log):
            dvc(log, "pull", str(tracked))
    except OctavoError as error:
        raise ServiceUnavailable(f"The data at {params.data.path} cannot be brought up to date: {error}") from None


def _tracked(path: Path) -> dict[str, Any]:
    """The content of the `.dvc` file."""
    try:
        return revision.read(atomic_write.content(path))
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a .dvc file ({' '.join(str(error).split())}). Run dvc add again.") from None


def _changed_here(tracked: Path, log: Path) -> bool:
    """Whether the data changed after `dvc add`: a pull would undo that."""
    return any("modified:" in line for line in dvc(log, "status", str(tracked)).lines)


def _run(command: tuple[str, ...], log: Path) -> None:
    with log.open("ab") as output:
        try:
            code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
        except OSError as error:
            raise ServiceUnavailable(f"nightly.fetch {command[0]} cannot be run: {error.strerror}.") from None
    if code:
        raise ServiceUnavailable(f"nightly.fetch {' '.join(command)} ended with exit code {code}. See {log}.")
