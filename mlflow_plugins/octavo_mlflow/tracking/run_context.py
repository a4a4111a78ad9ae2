"""Run context: tags for the DVC stage, the locked stages and the commit that a run came from.

MLflow loads this module while MLflow itself is being imported, so it imports little and never raises.
"""

import os
from pathlib import Path

import yaml
from mlflow.tracking.context.abstract_context import RunContextProvider

from octavo.project.git import revision
from octavo.project.git.command import git

PATIENCE = 5
"""Seconds that git may take to name the commit."""


class DvcRunContext(RunContextProvider):
    """Tags of DVC and git.

    They are `dvc.stage` and `dvc.root`, as DVC sets them for its stages; in an experiment `dvc.exp`, its name;
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
            "git.commit": git(Path(root or "."), "rev-parse", "--verify", "HEAD", timeout=PATIENCE),
        }
        return {name: value for name, value in found.items() if value}


def experiment() -> str | None:
    """The name of the DVC experiment that this process runs in, or None."""
    return os.environ.get("DVC_EXP_NAME") or os.environ.get("DVC_EXP_BASELINE_REV")


def _lock(root: str | None) -> str | None:
    """The digest of the nearest `dvc.lock`, otherwise of `root`'s; None if there is none that can be read."""
    try:
        lock = revision.nearest_lock(Path.cwd()) or (revision.nearest_lock(Path(root)) if root else None)
        return revision.lock_digest(lock) if lock else None
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return None
