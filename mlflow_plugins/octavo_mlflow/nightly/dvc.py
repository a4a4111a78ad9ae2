"""Run DVC as a command, with its output in a log."""

import errno
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from octavo.project.errors import OctavoError
from octavo.project.files import dvc_rwlock

STAGE = re.compile(r"Running stage '([^']+)'")
EXIT_CODE = re.compile(r"exited with (\d+)")
SAID = "octavo: "
FULL = os.strerror(errno.ENOSPC)


class StageFailed(OctavoError):
    """A stage of `dvc repro` failed. Has the stage's own message and exit code."""

    def __init__(self, stages: list[str], sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.stages = stages
        """The stages that started; the last one failed."""
        self.exit_code = exit_code


@dataclass(frozen=True)
class Ran:
    """What a command printed."""

    lines: list[str]

    @property
    def stages(self) -> list[str]:
        """The stages that ran."""
        return [found[1] for line in self.lines if (found := STAGE.search(line))]


def repro(log: Path, *targets: str) -> list[str]:
    """Bring the targets, or everything, up to date, and return the stages that ran.

    Raises:
        StageFailed: a stage or DVC itself failed.
    """
    return dvc(log, "repro", *targets).stages


def dvc(log: Path, *arguments: str) -> Ran:
    """Run a DVC command. Its output is appended to `log`.

    Raises:
        StageFailed: it failed.
    """
    if dvc_rwlock.mend():
        print(f"Removed {dvc_rwlock.path()}, which a killed process left unreadable.", file=sys.stderr)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-m", "dvc", *arguments]
    lines: list[str] = []
    with log.open("a", encoding="utf-8") as copy:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert process.stdout
        for line in process.stdout:
            copy.write(line)
            copy.flush()
            lines.append(line.rstrip())
            if STAGE.search(line):
                print(line.rstrip(), file=sys.stderr)
    if process.wait():
        raise _failure(arguments, Ran(lines), log)
    return Ran(lines)


def _failure(arguments: tuple[str, ...], ran: Ran, log: Path) -> StageFailed:
    said = [line.removeprefix(SAID) for line in ran.lines if line.startswith(SAID)]
    errors = [line.removeprefix("ERROR: ") for line in ran.lines if line.startswith("ERROR: ")]
    codes = EXIT_CODE.findall(" ".join(errors))
    sentence = said[-1] if said else f"{' '.join(('dvc', *arguments))}: {(errors or ran.lines or ['no word'])[-1]}"
    if any(FULL in line for line in ran.lines):
        return StageFailed(ran.stages, f"The disk is full. Make room, then run octavo nightly again. More in {log}.", 3)
    return StageFailed(ran.stages, f"{sentence} More in {log}.", int(codes[-1]) if codes else 1)
