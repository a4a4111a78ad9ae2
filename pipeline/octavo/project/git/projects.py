"""The projects of a repository: its folders with `params.yaml`. The working directory should be one."""

from collections.abc import Iterator
from pathlib import Path

from octavo.project.errors import ParamsError, some
from octavo.project.git import roots
from octavo.project.git.command import git
from octavo.project.params.params import PARAMS

PIPELINE, STAGES = "dvc.yaml", b"octavo_stages."
"""The file beside it, and what only Octavo's has."""
SHOWN = 5
"""Projects that a message names."""


def require() -> None:
    """Check that the working directory is a project.

    Raises:
        ParamsError: it is none. The message names the projects of the repository.
    """
    if PARAMS.exists():
        return
    here = Path.cwd()
    root = roots.git_root(here)
    others = sorted({from_here(path.parent) for path in files(root) if _is_project(path.parent)}) if root else []
    remedy = (
        f"Change to one of this repository's projects: {some(others, SHOWN)}."
        if others
        else "Change to a project's folder, make this one a project (octavo init), or quantize one model without a "
        "project (octavo quantize MODEL --data PATH)."
    )
    raise ParamsError(f"No {PARAMS} in {here}, so it is no project. {remedy}")


def files(root: Path) -> Iterator[Path]:
    """Every file `params.yaml` below the root of a repository that git tracks or does not ignore, of any program."""
    listed = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f"*{PARAMS}")
    yield from (root / each for each in (listed or "").split("\0") if Path(each).name == PARAMS.name)


def _is_project(folder: Path) -> bool:
    """Whether a folder with `params.yaml` is one of Octavo's projects."""
    try:
        return STAGES in (folder / PIPELINE).read_bytes()
    except OSError:
        return False


def from_here(path: Path) -> str:
    """An absolute path as a user writes it in the working directory."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
