"""Something is changed behind Octavo's back; then six commands are run, each in a fresh copy of the changed project.

A command either refuses, in a sentence and leaving everything as it was; or what was changed has no bearing on it:
it does and says the same as in the project that nobody changed, and `reasons` says why. Where a version was deleted, a
move may also be made from what is left, said and written down. Any other outcome is a fault, and so is a kind that
changes nothing, or that cannot be applied any more.
"""

import gc
import importlib
import multiprocessing
import os
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy.orm import configure_mappers

from benchmarks.attacks import by_client, by_hand, in_files, reasons
from benchmarks.attacks.alone import Died, alone, surely
from benchmarks.attacks.kind import Kind
from benchmarks.attacks.part import Part, Row
from benchmarks.attacks.victim import COMMANDS, READING, Outcome, Victim, build, enter, outcome, restore, sha256
from octavo.backends.litert import line_process, trial

PROCESSES = 2
PATIENCE = 300.0
REFUSED, HARMLESS, IMPOSSIBLE = "refused", "no bearing", "MLflow refuses it"
RECORDED = "made from what is left, and said"
FINE = (REFUSED, HARMLESS, IMPOSSIBLE, RECORDED)
NOTHING = "NOTHING CHANGED: it is as before"


Effect = dict[str, Any]


class _Place:
    """Where one process works: its projects, and what the commands do in the one that nobody changed."""

    project: Path
    pristine: Path
    tampered: Path
    content: set[tuple[str, str]]
    """Of the pristine project."""
    kinds: list[Kind]
    effects: ClassVar[dict[str, Effect]] = {}


def run(most: int, seed: int) -> Part:
    """Try kinds of tampering, at most so many, evenly spread over all there are."""
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(PROCESSES, context, _prepare, (folder,)) as pool:
            there = pool.submit(_count).result()
            chosen = range(there) if most >= there else [place * there // most for place in range(most)]
            found, faults = [], []
            for number, tried in [(number, pool.submit(_tried, number)) for number in chosen]:
                try:
                    found.append(tried.result())
                except Exception as error:  # noqa: BLE001 # what came of the others is kept
                    faults.append(f"kind {number} broke the attack: {error!r}")
                if len(found) % 50 == 0:
                    print(f"{len(found)} of {len(chosen)} kinds", file=sys.stderr)
    return summary(found, faults, seed)


def summary(found: Sequence[Row], faults: list[str], seed: int) -> Part:
    """What came of all kinds.

    Args:
        found: a row a kind.
        faults: of the attack itself.
        seed: as given.
    """
    rows = [_row(group, [each for each in found if each["group"] == group]) for group in _groups(found)]
    accepted = [
        f"{each['group']}, {each['kind']}, {command}: {came}"
        for each in found
        for command, came in each["commands"].items()
        if came not in FINE
    ]
    cells = Counter(came for each in found for came in each["commands"].values())
    facts: dict[str, Any] = {"kinds": len(found), "commands run": len(found) * len(COMMANDS), "refused": cells[REFUSED]}
    facts |= {
        "without any bearing": cells[HARMLESS],
        RECORDED: cells[RECORDED],
        "seed": seed,
        "why it has no bearing": reasons.told(found),
    }
    return Part("Tampering", rows, [*faults, *accepted], facts, {"cells": [_cell(each) for each in found]})


def _cell(found: Row) -> Row:
    """One kind for the record: what came of it -> commands, and the sentences of those that refused."""
    commands: dict[str, list[str]] = {}
    for command, came in found["commands"].items():
        commands.setdefault(came, []).append(command)
    came = {name: " ".join(names) for name, names in commands.items()}
    said = list(dict.fromkeys(sentence.strip()[:200] for sentence in found["said"].values() if sentence))
    return {"kind": f"{found['group']}: {found['kind']}", **came, "said": said}


def _groups(found: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(each["group"]) for each in found))


def _row(group: str, found: Sequence[Row]) -> Row:
    row: Row = {"what was changed": group, "by": found[0]["by"], "kinds": len(found)}
    for command in COMMANDS:
        counts = Counter(each["commands"][command] for each in found)
        known = {name: counts.pop(name) for name in FINE if counts[name]}
        wrong = sum(counts.values())
        row[command] = ", ".join(f"{n} {name}" for name, n in known.items()) + (f", {wrong} FAULTS" if wrong else "")
    return row


def _prepare(folder: str) -> None:
    place = Path(folder, str(os.getpid()))
    _Place.project, _Place.pristine, _Place.tampered = (place / name for name in ("project", "pristine", "tampered"))
    surely(lambda: build(_Place.project))
    restore(_Place.project, _Place.pristine)
    _warm_up()
    restore(_Place.pristine, _Place.project)
    _Place.content = _content(_Place.pristine)
    victim = Victim(_Place.project)
    _Place.kinds = [kind for module in (by_client, by_hand, in_files) for kind in module.kinds(victim)]
    for name in COMMANDS:
        done = _fresh(_Place.pristine, name)[name]
        if isinstance(done, Died) or done.code != 0:
            raise RuntimeError(f"{name} fails where nothing was changed: {done}")
        _Place.effects[name] = done.effect


def _warm_up() -> None:
    """Do once what each of thousands of processes would do: import, map tables, start what tries LiteRT files."""
    for module in surely(_needed):
        importlib.import_module(module)
    configure_mappers()
    process = line_process.started(trial.PROGRAM, trial.HOME, os.getpid())  # it serves one process after the other
    line_process.started = lru_cache(lambda *_: process)
    gc.collect()
    gc.freeze()


def _content(folder: Path) -> set[tuple[str, str]]:
    """All that lies in a project: paths of files and what is in them, and what is in the database."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        rows = {("mlflow.db", line) for line in database.iterdump()}
    files = (path for path in folder.rglob("*") if not path.is_dir() and not path.name.startswith("mlflow.db"))
    return rows | {
        (str(path.relative_to(folder)), f"-> {path.readlink()}" if path.is_symlink() else sha256(path.read_bytes()))
        for path in files
    }


def _needed() -> list[str]:
    """Modules that the commands import."""
    before = {*sys.modules}
    for name in COMMANDS:
        outcome(enter(_Place.project), name)
    return sorted({*sys.modules} - before)


def _count() -> int:
    return len(_Place.kinds)


def _fresh(template: Path, *names: str) -> dict[str, Outcome | Died]:
    """What comes of commands in a copy of the project in `template`."""
    restore(template, _Place.project)
    found = alone(lambda: {name: outcome(enter(_Place.project), name) for name in names}, PATIENCE)
    return dict.fromkeys(names, found) if isinstance(found, Died) else found


def _tried(number: int) -> Row:
    """What comes of one kind."""
    kind = _Place.kinds[number]
    restore(_Place.pristine, _Place.project)
    done = alone(partial(_change, kind), PATIENCE)
    row: Row = {"group": kind.group, "kind": kind.name, "by": kind.way}
    if isinstance(done, Died):
        if "mlflow.exceptions.MlflowException" in done.why:
            return row | {"commands": dict.fromkeys(COMMANDS, IMPOSSIBLE), "said": {"change": done.why[-300:]}}
        return row | {"commands": dict.fromkeys(COMMANDS, f"NOT APPLIED: {done.why[-600:]}"), "said": {}}
    if _content(_Place.project) == _Place.content:
        return row | {"commands": dict.fromkeys(COMMANDS, NOTHING), "said": {}}
    restore(_Place.project, _Place.tampered)
    found = _fresh(_Place.tampered, *READING)
    for name in COMMANDS.keys() - READING:
        found |= _fresh(_Place.tampered, name)
    commands = {name: _judged(kind, name, found[name]) for name in COMMANDS}
    said = {name: _sentence(found[name]) for name in COMMANDS}
    return row | {"commands": commands, "said": said}


def _change(kind: Kind) -> None:
    kind.change(enter(_Place.project))


def _sentence(done: Outcome | Died) -> str:
    said = done.why[-600:] if isinstance(done, Died) else (done.err[-600:] if done.code else "")
    return said.replace(f"{_Place.project}/", "")


def _judged(kind: Kind, name: str, done: Outcome | Died) -> str:
    if isinstance(done, Died):
        return f"CRASHED: {done.why[-600:]}"
    if done.code is None or "Traceback" in done.err:
        return f"CRASHED: {done.err[-600:]}"
    if done.code:
        if done.changed:
            return f"REFUSED AFTER A CHANGE: {done.err[:300]}"
        return (
            REFUSED if done.err.startswith("octavo: ") and done.code in (1, 2, 3) else f"NO SENTENCE: {done.err[:300]}"
        )
    if difference := _difference(done.effect, _Place.effects[name]):
        return RECORDED if _is_recorded(done) else f"ACCEPTED: {difference[:300]}"
    return HARMLESS if reasons.why(kind, name) else "UNEXPLAINED: the same as without any change"


def _is_recorded(done: Outcome) -> bool:
    """Whether the new record names versions that were deleted, and the command said so."""
    return bool(done.effect.get("record", {}).get("gone")) and "was deleted" in done.out


def _difference(found: Effect, normal: Effect) -> str:
    """What is not as where nothing was changed."""
    return "; ".join(
        f"{name} is {found.get(name)!r}, else {normal.get(name)!r}"
        for name in found.keys() | normal.keys()
        if found.get(name) != normal.get(name)
    )
