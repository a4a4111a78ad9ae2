"""Run git. Imports no other library, so that a stage can ask before it holds back what libraries print."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, timeout: float | None = None) -> str | None:
    """Run git in `folder`, without taking git's optional locks.

    Args:
        folder: where git runs.
        *arguments: of git.
        timeout: in seconds; None waits without limit.

    Returns:
        Its output, or None if git fails, is not installed, or takes longer than `timeout`.
    """
    try:
        command = ["git", "-C", str(folder), "--no-optional-locks", *arguments]
        done = subprocess.run(command, capture_output=True, check=True, timeout=timeout)
    except (OSError, subprocess.SubprocessError):
        return None
    return os.fsdecode(done.stdout).strip()
