"""Which state of a project this is: git's commit, and the stages as DVC's lock records them.

Light, because every run of MLflow asks: see `octavo_mlflow.tracking.run_context`.
"""

import hashlib
import json
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from octavo.project.files import yaml_file

DVC_LOCK = Path("dvc.lock")
DOWNSTREAM = ("report", "register")
"""Stages that run after or as the scorecards are written; their state is no part of the lineage."""


def digest(content: Any) -> str:
    """SHA-256 of the content's canonical JSON: neither key order nor layout of the file changes it."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def git_commit(folder: Path = Path()) -> str | None:
    """The commit checked out in `folder`, `-dirty` when tracked files other than `dvc.lock` differ; None without git.

    Only files in `folder` count.
    """
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None
    changed = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){DVC_LOCK}")
    return f"{commit}-dirty" if changed else commit


def nearest_lock(folder: Path) -> Path | None:
    """The `dvc.lock` of the project that `folder` is in, or None."""
    return next((path for each in (folder, *folder.parents) if (path := each / DVC_LOCK).is_file()), None)


def read(content: bytes) -> dict[str, Any]:
    """What a lock or a `.dvc` file says.

    Raises:
        yaml.YAMLError, TypeError, ValueError: it is neither.
    """
    return dict(yaml_file.parse(content))


def stages(content: bytes) -> dict[str, Any]:
    """What a lock with that content records, by stage.

    Raises:
        yaml.YAMLError, KeyError, TypeError, ValueError: it is no lock.
    """
    return dict(read(content)["stages"])


def lock_digest(lock: Path = DVC_LOCK) -> str | None:
    """Digest of the stages that led to the scorecards, as `dvc.lock` records them; None when there is no lock.

    Raises:
        yaml.YAMLError, KeyError, TypeError, ValueError: the file is no lock.
    """
    return _lock_digest(lock.read_bytes()) if lock.exists() else None


@lru_cache(maxsize=1)
def _lock_digest(content: bytes) -> str:
    """Asked again for every run of a process."""
    return digest({name: stage for name, stage in stages(content).items() if name not in DOWNSTREAM})


def git(folder: Path, *arguments: str, timeout: float | None = None) -> str | None:
    """What git answers in `folder`, without waiting for anyone; None where it fails, is not there, or takes longer."""
    try:
        command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
