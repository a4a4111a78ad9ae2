"""Run context: which DVC stage, which locked stages and which commit a run came from.

MLflow loads this module while it is itself being imported, so it stays light and never raises.
"""

import os
from pathlib import Path

import yaml
from mlflow.tracking.context.abstract_context import RunContextProvider

from octavo.project import git

PATIENCE = 5
"""Seconds that git may take to name the commit."""


class DvcRunContext(RunContextProvider):
    """Tags of DVC and git.

    They are `dvc.stage`, `dvc.root` and, in an experiment, `dvc.exp`, its name, as DVC sets them for its stages;
    `dvc.lock`, a digest; and `git.commit`.
    """

    def in_context(self) -> bool:
        return bool(self.tags())

    def tags(self) -> dict[str, str]:
        root = os.environ.get("DVC_ROOT")
        found = {
            "dvc.stage": os.environ.get("DVC_STAGE"),
            "dvc.root": root,
            "dvc.exp": experiment(),
            "dvc.lock": _lock(root),
            "git.commit": git.git(Path(root or "."), "rev-parse", "--verify", "HEAD", timeout=PATIENCE),
        }
        return {name: value for name, value in found.items() if value}


def experiment() -> str | None:
    """The DVC experiment that this process runs in, by its name; None outside of one."""
    return os.environ.get("DVC_EXP_NAME") or os.environ.get("DVC_EXP_BASELINE_REV")


def _lock(root: str | None) -> str | None:
    """The digest of the lock that is nearest, else of `root`'s; None where there is none, or none that can be read."""
    try:
        lock = git.nearest_lock(Path.cwd()) or (git.nearest_lock(Path(root)) if root else None)
        return git.lock_digest(lock) if lock else None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None
