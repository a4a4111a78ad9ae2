"""Checks of what surrounds the project: git, DVC, disk space, and DVC's lock."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from octavo.project import extras
from octavo.project.files import dvc_rwlock
from octavo.project.git import revision, roots
from octavo.project.git.command import git
from octavo.project.setting_up.examination.check_result import CheckResult

PATIENCE = 60
"""Seconds that DVC may take to answer."""
LEAST_FREE = 2e9
"""Bytes. A project with ten variants of a small network takes about 100 MB, a temporary experiment as much again."""


def check() -> Iterator[CheckResult]:
    """Git, DVC, the disk, and DVC's record of who reads and writes."""
    yield _git()
    if not extras.missing(["dvc"]):
        yield _dvc()
    yield from _disk()
    if dvc_rwlock.is_broken():
        yield CheckResult(
            "DVC's lock",
            f"{dvc_rwlock.path()} cannot be read, and every dvc repro stops at it",
            "Run: octavo doctor --mend",
            dvc_rwlock.mend,
        )
    else:
        yield CheckResult("DVC's lock", "nothing was left behind")


def _git() -> CheckResult:
    here = Path.cwd()
    said = git(here, "--version")
    if said is None:
        return CheckResult("git", "not installed", "Install git, for example: apt-get install git")
    root = roots.git_root(here)
    if root is None:
        return CheckResult("git", f"{said}; {here} is in no repository", "Run: git init")
    if revision.git_commit(here) is None:
        return CheckResult(
            "git", f"{said}; {root} has no commit, so no run can name one", "Run: git add . && git commit"
        )
    return CheckResult("git", f"{said}; repository {root}")


def _dvc() -> CheckResult:
    """Whether DVC runs and is set up here, and where it keeps copies. DVC itself is asked."""
    root = roots.dvc_root(Path.cwd())
    if root is None:
        return CheckResult("DVC", "not set up here", "Run: octavo init, or dvc init")
    command = [sys.executable, "-P", "-m", "dvc", "remote", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return CheckResult("DVC", f"does not answer within {PATIENCE} seconds", "Look for a hanging dvc process.")
    if done.returncode:
        said = " ".join(done.stderr.split()).removeprefix("ERROR: ")[:300]
        return CheckResult("DVC", f"fails: {said}", f"Correct {root / roots.DVC / 'config'}.")
    remotes = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    copies = f"remote {', '.join(remotes)}" if remotes else "no remote, so files are only on this machine"
    return CheckResult("DVC", f"root {root}; {copies}")


def _disk() -> Iterator[CheckResult]:
    for place in dict.fromkeys((Path.cwd(), Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(place).free
        small = free < LEAST_FREE
        yield CheckResult(
            "disk", f"{free / 1e9:.1f} GB free at {place}", f"Free {LEAST_FREE / 1e9:.0f} GB there." if small else ""
        )
