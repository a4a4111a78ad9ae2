"""`octavo nightly`: start one night, watch it, and notify people.

The night is another process (`worker`). Whatever that process starts is in its process group. Whatever happens to it,
such as a lack of memory, this process ends the group, writes the record and notifies people. If this process dies, the
worker sees its standard input close, and ends its whole group.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from types import FrameType

import click

from octavo.project import extras, paths
from octavo.project.errors import ServiceUnavailable
from octavo.project.files.file_lock import AlreadyRunning, exclusive
from octavo.project.params.nightly import Nightly
from octavo.project.params.params import load_params
from octavo_mlflow.nightly import notifications, record
from octavo_mlflow.nightly.daily_time import parse
from octavo_mlflow.nightly.record import Night

ATTEMPTS = 3
"""How often a night that is killed is started. What killed it, such as a lack of memory, may kill it again."""
WORKER = [sys.executable, "-m", "octavo_mlflow.nightly.worker"]
LOCK = paths.NIGHTS / "lock"


@click.command()
@click.option("--due", metavar="'HH:MM ZONE'", help="Do nothing unless that has passed since the last night ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the night's record.")
def nightly(due: str | None, as_json: bool) -> None:
    """Run one night: refresh the data, check them, build, register, judge, promote, clean up."""
    extras.require("mlflow", "dvc")
    settings = load_params().nightly
    if due and not is_due(due, settings, datetime.now(timezone.utc)):
        return
    try:
        with exclusive(LOCK, "A night"):
            done = run(settings)
    except AlreadyRunning:
        if due:
            return
        raise
    click.echo(done.model_dump_json(indent=1) if as_json else _said(done))
    sys.exit(done.exit_code)


def run(settings: Nightly) -> Night:
    """Run one night from its start to its record. The caller holds the lock."""
    _close_what_was_killed(settings)
    before = next(record.ended(), None)
    record.save(record.begin())
    told = notifications.tell(_watch(), before, settings)
    record.save(told)
    return told


def _close_what_was_killed(settings: Nightly) -> None:
    """Write the record of a killed night that left none."""
    left = record.running()
    if left is not None:
        before = next(record.ended(), None)
        killed = left.end(
            "killed", f"It was interrupted in step '{left.step or 'start'}', and this record was written later."
        )
        record.save(notifications.tell(killed, before, settings))


def _watch() -> Night:
    """Run the worker, and return its record, or one for a worker that was killed."""
    stopped: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopped.append(number)
        _kill(worker.pid)

    worker = subprocess.Popen(WORKER, stdin=subprocess.PIPE, start_new_session=True)
    handlers = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker.wait()
    finally:
        _kill(worker.pid)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    left = record.running()
    if left is None:
        return next(record.ended())
    code = worker.returncode
    why = f"signal {stopped[0] if stopped else -code}" if code < 0 else f"exit code {code}"
    return left.end("killed", f"Its process ended by {why} in step '{left.step or 'start'}'.")


def _kill(group: int) -> None:
    """End a process group, if any of it is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def is_due(due: str, settings: Nightly, now: datetime) -> bool:
    """Whether a night is due since the last one, or the last one must be repeated.

    Args:
        due: daily time, as `daily_time.parse` reads it.
        settings: of the nights.
        now: with a time zone.
    """
    last, daily = next(record.ended(), None), parse(due)
    if daily.missed(last.started if last else None, now):
        return True
    if last is None:
        return False
    out_of_reach = last.exit_code == ServiceUnavailable.exit_code
    tonight = takewhile(lambda each: each.started >= daily.last_due(now), record.ended())
    killed = len(list(takewhile(lambda each: each.outcome == "killed", tonight)))
    return (out_of_reach or 0 < killed < ATTEMPTS) and now < daily.last_due(now) + timedelta(hours=settings.retry)


def _said(done: Night) -> str:
    seconds = (done.ended - done.started).total_seconds() if done.ended else 0
    reasons = "".join(f"\n  {reason}" for reason in done.reasons)
    return f"Night {done.name}: {done.outcome}, {seconds:.0f} s. {paths.NIGHTS / done.name}.json{reasons}"
