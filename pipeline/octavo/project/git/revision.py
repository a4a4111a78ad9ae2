"""Identify the state of a project: git's commit, and the stages as `dvc.lock` records them.

The imports are light, because every MLflow run needs this: see `octavo_mlflow.tracking.run_context`.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from octavo.project.files import yaml_file
from octavo.project.git.command import git

DVC_LOCK = Path("dvc.lock")
DOWNSTREAM = ("report", "register")
"""Stages that write the scorecards or run after them. Their state is not part of the lineage."""


def digest(content: Any) -> str:
    """SHA-256 of the content as canonical JSON. The order of keys and the layout of the file do not matter."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def git_commit(folder: Path = Path()) -> str | None:
    """Hash of the commit that is checked out in `folder`, or None if there is no git repository or no commit.

    It ends with `-dirty` if tracked files in `folder` have changed. `dvc.lock` does not count.
    """
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){DVC_LOCK}")
    return f"{commit}-dirty" if changed else commit


def nearest_lock(folder: Path) -> Path | None:
    """The `dvc.lock` in `folder` or in its nearest parent that has one, or None."""
    return next((path for each in (folder, *folder.parents) if (path := each / DVC_LOCK).is_file()), None)


def read(content: bytes) -> dict[str, Any]:
    """Parse the content of a `dvc.lock` or a `.dvc` file.

    Raises:
        yaml.YAMLError, TypeError, ValueError: it is neither.
    """
    return dict(yaml_file.parse(content))


def stages(content: bytes) -> dict[str, Any]:
    """Stage -> what a `dvc.lock` with this content records of it.

    Raises:
        yaml.YAMLError, KeyError, TypeError, ValueError: it is not a `dvc.lock`.
    """
    return dict(read(content)["stages"])


def lock_digest(lock: Path = DVC_LOCK) -> str | None:
    """Digest of the stages that lead to the scorecards, as `dvc.lock` records them; None if there is no `dvc.lock`.

    Raises:
        yaml.YAMLError, KeyError, TypeError, ValueError: the file is not a `dvc.lock`.
    """
    return _lock_digest(lock.read_bytes()) if lock.exists() else None


@lru_cache(maxsize=1)
def _lock_digest(content: bytes) -> str:
    """Cached, because each MLflow run of a process asks for it."""
    return digest({name: stage for name, stage in stages(content).items() if name not in DOWNSTREAM})
