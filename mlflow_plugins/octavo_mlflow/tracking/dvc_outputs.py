"""What DVC tracks: the recorded MD5 of a path, from `dvc.lock` or a `.dvc` file, and the MD5 of its present content.

Both files are read directly. DVC itself is not imported, because its import takes longer than MLflow's.
"""

import hashlib
import json
from configparser import ConfigParser, Error
from functools import lru_cache
from pathlib import Path
from typing import Any

from octavo.project.files import atomic_write
from octavo.project.git import revision

FOLDER = ".dir"
"""Suffix of a folder's digest, which is the digest of the list of its files."""


def recorded(path: Path) -> str | None:
    """The MD5 that DVC recorded for the output at `path`, or None if no `.dvc` file and no `dvc.lock` tracks it.

    Raises:
        OSError, yaml.YAMLError, KeyError, TypeError, ValueError: those files cannot be read.
    """
    path = path.absolute()
    tracked = path.with_name(f"{path.name}.dvc")
    if tracked.is_file():
        outputs = revision.read(tracked.read_bytes())["outs"]
        return next((out.get("md5") for out in outputs if out["path"] == path.name), None)
    lock = revision.nearest_lock(path.parent)
    return _locked(lock.read_bytes()).get(path.relative_to(lock.parent).as_posix()) if lock else None


@lru_cache(maxsize=1)
def _locked(content: bytes) -> dict[str, str]:
    """The MD5 of every output of the stages in the lock, by path."""
    stages: dict[str, Any] = revision.stages(content)
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", []) if "md5" in out}


def found(path: Path) -> str:
    """The MD5 that DVC would record now for the file or folder at `path`.

    For a folder it is the MD5 of the list of its files as JSON, sorted by path (dvc-data, `Tree.digest`). Files that
    `.dvcignore` excludes are included here.
    """
    if path.is_file():
        return atomic_write.digest(path, "md5")
    inside = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    listed = [{"md5": atomic_write.digest(inside[name], "md5"), "relpath": name} for name in sorted(inside)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + FOLDER


def remote(project: Path) -> str | None:
    """The URL of the project's default remote, or None."""
    config = ConfigParser(interpolation=None)
    try:
        config.read(project / ".dvc" / "config", encoding="utf-8")
        name = config.get("core", "remote", fallback=None)
        return config.get(f"'remote \"{name}\"'", "url", fallback=None)
    except (Error, UnicodeDecodeError):
        return None
