"""Commands are killed by SIGKILL at random times, and run again: nothing lost, nothing doubled, nothing stuck.

How long a run takes, and when it first writes, is measured. Every other kill falls anywhere in the run, the others
after the first write. Whether it had written by then is seen by what lies there, and counted.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from itertools import chain
from pathlib import Path

from benchmarks.attacks import killed_builds, killed_commands
from benchmarks.attacks.case import LEFT, Case
from benchmarks.attacks.part import Part, Row

PATIENCE = 900.0
"""Seconds for one run."""
REDRAWN = 5
"""Times that a kill is drawn anew where the run had ended before."""


def run(most: int, seed: int) -> Part:
    """Kill that many commands."""
    chance = random.Random(seed)  # noqa: S311 # to be repeated
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as folder:
        for case in chain(killed_commands.cases(Path(folder)), killed_builds.cases(Path(folder))):
            row, wrong = _killed(case, max(2, round(most * case.share / 100)), chance)
            rows.append(row)
            faults += wrong
    kills, after = (sum(row[name] for row in rows) for name in ("kills", "after the first write"))
    return Part("Killed commands", rows, faults, {"kills": kills, "after the first write": after, "seed": seed})


def _killed(case: Case, times: int, chance: random.Random) -> tuple[Row, list[str]]:
    length, first = _measured(case)
    counts, faults = Counter[str](), []
    for number in range(times):
        moment, written = _kill(case, number % 2 == 1, length, first, chance)
        if moment is None:
            counts["came to their end before"] += 1
            continue
        counts["kills"] += 1
        counts["after the first write"] += written
        told = case.again()
        wrong = [each for each in told if not each.startswith(LEFT)]
        counts["well"] += not wrong
        counts[LEFT] += len(told) > len(wrong)
        faults += [f"{case.name}, killed after {moment:.3f} of {length:.3f} s: {each}" for each in wrong]
        print(f"{case.name}: {number + 1} of {times}, {told or 'well'}", file=sys.stderr)
    names = ("kills", "after the first write", "well", LEFT, "came to their end before")
    row = {"command": case.name, "seconds of a run": round(length, 2), "first write at": round(first, 2)}
    return row | {name: counts[name] for name in names}, faults


def _measured(case: Case) -> tuple[float, float]:
    """Seconds of a whole run, and until its first write."""
    case.prepare()
    before, started = case.written(), time.monotonic()
    process, first = case.start(), None
    while not _ended(process):
        if first is None and case.written() != before:
            first = time.monotonic() - started
        time.sleep(0.001)
        if time.monotonic() - started > PATIENCE:
            os.killpg(process, signal.SIGKILL)
            raise RuntimeError(f"{case.name} comes to no end")
    length = time.monotonic() - started
    if wrong := [each for each in case.again() if not each.startswith(LEFT)]:
        raise RuntimeError(f"{case.name}, run twice and never killed: {wrong}")
    return length, length if first is None else first


def _kill(case: Case, late: bool, length: float, first: float, chance: random.Random) -> tuple[float | None, bool]:
    """Kill it at any time, or, where `late`, at any time after its first write, which is waited for.

    Seconds after which it was killed, None where it always ended before; and whether it had written something.
    """
    for _ in range(REDRAWN):
        case.prepare()
        before, started = case.written(), time.monotonic()
        moment = chance.uniform(0, length - first if late else length)
        process, ended = case.start(), False
        while late and not ended and case.written() == before:
            ended = _ended(process)
        since = time.monotonic() if late else started
        while not ended and time.monotonic() < since + moment:
            ended = _ended(process)
            time.sleep(0.0005)
        if ended or _ended(process):
            continue
        os.killpg(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(process, 0)
        return time.monotonic() - started, case.written() != before
    return None, False


def _ended(process: int) -> bool:
    """Whether our child has ended; then it is reaped."""
    try:
        found, _ = os.waitpid(process, os.WNOHANG)
    except ChildProcessError:
        return True
    return bool(found)
