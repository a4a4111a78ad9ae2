"""The roots that a project's folder lies in: of its git repository, and of DVC. Several projects can share them.

A project is a folder with `params.yaml` and `dvc.yaml`. It is the root itself, or a folder below it.
"""

import os
from pathlib import Path

from octavo.project.git.command import git

DVC = ".dvc"


def git_root(folder: Path) -> Path | None:
    """The root of the git repository that contains `folder`, or None."""
    found = git(folder, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def dvc_root(folder: Path) -> Path | None:
    """The root of the DVC repository that contains `folder`, or None."""
    folder = folder.absolute()
    return next((each for each in (folder, *folder.parents) if (each / DVC).is_dir()), None)


def shared() -> Path:
    """The folder of what all projects of a repository share, such as MLflow's local database: DVC's root.

    Under `dvc exp run --temp` it is the original root, not the temporary copy. Without DVC it is the working directory.
    """
    return Path(os.environ.get("DVC_ROOT") or dvc_root(Path.cwd()) or Path.cwd()).absolute()


def project() -> Path:
    """The project in the working directory. Under `dvc exp run --temp` it is the original one, as for `shared`."""
    here = Path.cwd()
    root = dvc_root(here)
    return shared() / here.relative_to(root) if root else shared()


def of_code() -> list[str]:
    """Folders with modules of the user that a project can name: its own, the root, and the root's `src`.

    So a project in `models/door` can name a builder of the whole repository, installed or not.
    """
    here = Path.cwd()
    root = dvc_root(here) or here
    return [str(folder) for folder in dict.fromkeys((here, root, root / "src")) if folder.is_dir()]
