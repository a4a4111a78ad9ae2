"""The record of one night, written to `reports/nightly/<date>.json`: what ran, the outcome, and why."""

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from octavo.project import paths as project_paths
from octavo.project.errors import OctavoError
from octavo.project.files import atomic_write, json_file
from octavo.project.schema import Record

Outcome = Literal["promoted", "requested", "kept", "unchanged", "refused", "failed", "killed"]
"""`promoted`: a new champion. `requested`: a promotion waits for approval. `kept`: no new variant may replace the
champion. `unchanged`: nothing was new. `refused`: the data are broken or have drifted. `failed`: a step failed.
`killed`: the process was killed.
"""
TROUBLE: tuple[Outcome, ...] = ("refused", "failed", "killed")
"""Outcomes that a person should look at."""
EXIT_CODE: dict[Outcome, int] = {"refused": 2, "failed": 1, "killed": 1}
"""If no step gave another one; 0 for the other outcomes."""
RUNNING = project_paths.NIGHTS / "running.json"
"""The record of a night in progress. A killed night leaves it behind."""


class NightStep(Record):
    name: str
    seconds: float


class Night(Record):
    """The record as far as it is known. `outcome` and `ended` are set when the night is over."""

    name: str
    """The UTC date of its start, with a number if it is not the first night of that date."""
    started: datetime
    ended: datetime | None = None
    outcome: Outcome | None = None
    exit_code: int = 0
    reasons: tuple[str, ...] = ()
    steps: tuple[NightStep, ...] = ()
    """The steps that ended, in order."""
    step: str | None = None
    """The step in progress, or the one that was interrupted."""
    stages: tuple[str, ...] = ()
    """Stages of `dvc.yaml` that ran."""
    data: dict[str, Any] = Field(default_factory=dict)
    """Digest and number of images, before and now."""
    champion: dict[str, str | None] = Field(default_factory=dict)
    """Version, before and now."""
    removed: dict[str, int] = Field(default_factory=dict)
    """Counts of what housekeeping deleted."""
    notified: dict[str, str] = Field(default_factory=dict)
    """Channel -> `sent`, or why not."""

    @property
    def is_trouble(self) -> bool:
        return self.outcome in TROUBLE

    @property
    def log(self) -> Path:
        """The output of DVC and the stages."""
        return project_paths.NIGHTS / f"{self.name}.log"

    def end(self, outcome: Outcome, *reasons: str, exit_code: int | None = None) -> "Night":
        """The record of the finished night.

        Args:
            outcome: of the night.
            *reasons: sentences that explain it.
            exit_code: None for the outcome's own.
        """
        code = EXIT_CODE.get(outcome, 0) if exit_code is None else exit_code
        return self.model_copy(
            update={"outcome": outcome, "reasons": reasons, "ended": datetime.now(timezone.utc), "exit_code": code}
        )


def begin() -> Night:
    """A new night, named after its date, with a number if it is not the first of that date."""
    now = datetime.now(timezone.utc)
    taken = {path.stem for path in project_paths.NIGHTS.glob("*.json")}
    names = (f"{now:%Y-%m-%d}" + (f".{number}" if number > 1 else "") for number in range(1, len(taken) + 2))
    return Night(name=next(name for name in names if name not in taken), started=now)


def save(night: Night) -> None:
    """Write the record: to its own file if the night is over, otherwise to `RUNNING`."""
    if night.outcome is None:
        atomic_write.write_text(RUNNING, night.model_dump_json(indent=1) + "\n")
        return
    atomic_write.write_text(project_paths.NIGHTS / f"{night.name}.json", night.model_dump_json(indent=1) + "\n")
    RUNNING.unlink(missing_ok=True)


def running() -> Night | None:
    """The night in progress, or None."""
    return _read(RUNNING) if RUNNING.exists() else None


def ended() -> Iterator[Night]:
    """Finished nights, latest first."""
    paths = [path for path in project_paths.NIGHTS.glob("*.json") if path != RUNNING]
    for path in sorted(paths, key=_order, reverse=True):
        yield _read(path)


def _order(path: Path) -> tuple[str, int]:
    date, _, number = path.stem.partition(".")
    return date, int(number or 1)


def _read(path: Path) -> Night:
    try:
        return json_file.read_record(path, Night)
    except (FileNotFoundError, json_file.Unreadable) as error:
        raise OctavoError(
            f"{path} is not the record of a night ({error}). Move it out of {project_paths.NIGHTS}."
        ) from None
