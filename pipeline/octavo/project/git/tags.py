"""Git tags for the state of the project at a promotion. `git checkout` and `dvc checkout` restore that state.

When a night promotes, `dvc.lock` is often not committed yet, and `dvc gc` deletes files that no commit refers to. So
the tag points to a new commit with all tracked files and `dvc.lock` as they are now. Branches and the index do not
change.
"""

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from octavo.project.git.revision import DVC_LOCK

PREFIX = "octavo"
IDENTITY = {f"GIT_{role}_{part}": "octavo" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def tag(model: str, version: str) -> str | None:
    """Tag the project's present state as that of a promoted version.

    Returns:
        The tag's name, or None if there is no git repository or no commit.
    """
    name = f"{PREFIX}/{model}/{version}"
    with TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        if _git("read-tree", "HEAD", **index) is None:
            return None
        _git("add", "--update", **index)
        if DVC_LOCK.exists():
            _git("add", "--force", str(DVC_LOCK), **index)
        tree = _git("write-tree", **index)
    if tree is None:
        return None
    message = f"{model} version {version}, as it was promoted"
    commit = (
        _git("rev-parse", "HEAD")
        if tree == _git("rev-parse", "HEAD^{tree}")
        else _git("commit-tree", tree, "-p", "HEAD", "-m", message, **IDENTITY)
    )
    done = commit and _git("tag", "--force", name, commit)
    return name if done is not None else None


def is_in_git() -> bool:
    """Whether the project is a git repository or a folder in one."""
    return _git("rev-parse", "--is-inside-work-tree") == "true"


def tags(model: str) -> list[str]:
    """Versions of a model that have a tag."""
    listed = _git("tag", "--list", f"{PREFIX}/{model}/*") or ""
    return [line.rpartition("/")[2] for line in listed.splitlines()]


def untag(model: str, version: str) -> None:
    """Delete the tag of a version, so that `dvc gc` can delete its files."""
    _git("tag", "--delete", f"{PREFIX}/{model}/{version}")


def _git(*arguments: str, **environment: str) -> str | None:
    """Git's output, or None if git fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, env=os.environ | environment
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
