"""Check of `octavo doctor`: what starts the project's nights, and whether one was killed."""

from collections.abc import Iterator
from pathlib import Path

from octavo.project.errors import OctavoError
from octavo.project.files.file_lock import AlreadyRunning, exclusive
from octavo.project.params.params import PARAMS
from octavo.project.setting_up.examination.check_result import CheckResult
from octavo_mlflow.nightly import record
from octavo_mlflow.nightly.supervisor import LOCK
from octavo_mlflow.scheduling.command import SCHEDULERS

NAME = "nights"


def check() -> Iterator[CheckResult]:
    """The scheduler, and a night in progress or left behind. Nothing outside a project."""
    if not PARAMS.exists():
        return
    yield _scheduler(Path.cwd())
    if LOCK.exists():
        yield _in_progress()


def _scheduler(root: Path) -> CheckResult:
    try:
        found = next((each for scheduler in SCHEDULERS if (each := scheduler.installed(root))), None)
    except OctavoError as error:
        return CheckResult(NAME, str(error), "Run: octavo schedule install")
    if found is None:
        troubles = [scheduler.trouble() for scheduler in SCHEDULERS]
        if all(troubles):
            return CheckResult(
                NAME, f"none is scheduled, and none can be on this machine: {'; '.join(filter(None, troubles))}"
            )
        return CheckResult(NAME, "none is scheduled; to schedule one: octavo schedule install --at 02:30")
    if not found.active:
        return CheckResult(NAME, f"{found.scheduler} is installed and not running", "Run: octavo schedule install")
    return CheckResult(NAME, f"every night at {found.daily}, by {found.scheduler}")


def _in_progress() -> CheckResult:
    """Whether a night runs. The lock is freed by the system when its holder dies, so a file alone means nothing."""
    try:
        with exclusive(LOCK, "A night"):
            left = record.running()
    except AlreadyRunning as error:
        return CheckResult("night lock", error.clause("Wait for it to end, or stop that process."))
    if left is not None:
        return CheckResult("night lock", f"night {left.name} was killed; the next octavo nightly records that")
    return CheckResult("night lock", "nothing was left behind")
