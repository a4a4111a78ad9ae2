"""Commands on a registry that are killed: register, promote, rollback, the first start."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.attacks.alone import Died, alone, forked, surely
from benchmarks.attacks.case import LEFT, Case
from benchmarks.attacks.victim import MODEL, VARIANT, Victim, build, command, enter, restore
from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.params.params import load_params
from octavo.promotion import audit_record
from octavo_mlflow.registration import register
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.tracking import connection

PATIENCE = 60.0
"""Seconds for a command, and to take over what a dead process held."""
TOMBSTONE = re.compile(rf"{MODEL}\.lock\.[0-9a-f]+")
PROMOTED = {"anchor": 2, "champion": 4, "previous": 3}
ROLLED_BACK = {"anchor": 2, "champion": 2, "previous": 3}


def cases(folder: Path) -> Iterator[Case]:
    """One for each command, on copies of a project with a history."""
    project, whole, fresh = (folder / name for name in ("project", "whole", "unregistered"))
    surely(lambda: build(project))
    restore(project, whole)
    shutil.rmtree(project)
    surely(lambda: build(project, last=False))
    restore(project, fresh)
    victim = Victim(project)
    yield _case("register", victim, fresh, _register, _registered, 22)
    yield _case("promote", victim, whole, partial(_run, "promote", VARIANT), partial(_moved, PROMOTED), 22)
    yield _case("rollback", victim, whole, partial(_run, "rollback"), partial(_moved, ROLLED_BACK), 20)
    yield _first_start(folder / "new")


def _case(
    name: str,
    victim: Victim,
    template: Path,
    action: Callable[[], object],
    wrong: Callable[[Victim], list[str]],
    share: int,
) -> Case:
    def there() -> None:
        enter(victim.folder)
        action()

    def again() -> list[str]:
        done = alone(there, PATIENCE)
        return [done.why[-600:]] if isinstance(done, Died) else [*wrong(victim), *_left(victim)]

    return Case(
        name,
        prepare=lambda: restore(template, victim.folder),
        start=lambda: forked(there),
        written=lambda: _looks(victim.folder),
        again=again,
        share=share,
    )


def _looks(folder: Path) -> object:
    """What changes as soon as anything is written."""
    places = (folder / "mlflow.db", folder / "mlruns", *(folder / "mlruns").glob("*"))
    return [(str(place), place.stat().st_mtime_ns) for place in places if place.exists()]


def _register() -> None:
    register.register(load_scorecards(paths.SCORECARDS), load_params())


def _run(*arguments: str) -> None:
    """A command of which the second run may find that there is nothing to do any more."""
    code, out, err = command(arguments)
    if code is None or code == 3:
        raise RuntimeError(f"{arguments}: {code}, {out}, {err}")


def _registered(victim: Victim) -> list[str]:
    """What is wrong with runs, versions and their files: there has to be one of each digest."""
    digests = "SELECT value FROM model_version_tags WHERE key = 'octavo.digest'"
    versions = Counter(value for (value,) in victim.sql(digests))
    runs = Counter(
        value
        for value, status in victim.sql(
            "SELECT tags.value, runs.status FROM tags JOIN runs USING (run_uuid) "
            "WHERE tags.key = 'octavo.digest' AND runs.lifecycle_stage = 'active'"
        )
        if status == "FINISHED"
    )
    active = victim.sql("SELECT count(*) FROM runs WHERE lifecycle_stage = 'active' AND status <> 'FINISHED'")[0][0]
    wrong = [] if active == 0 else [f"{active} runs never finished"]
    if sorted(versions.values()) != [1, 1, 1, 1]:
        wrong.append(f"versions by digest: {sorted(versions.values())}")
    if runs != versions:
        wrong.append(f"runs by digest: {sorted(runs.values())}")
    if not (victim.stored(4) / "data" / "model.tflite").exists():
        wrong.append("version 4 has no file")
    return wrong


def _moved(expected: dict[str, int], victim: Victim) -> list[str]:
    """What is wrong with aliases and log: one move was made, and it is recorded everywhere once."""
    aliases = dict(victim.sql("SELECT alias, version FROM registered_model_aliases"))
    tags = dict(victim.sql("SELECT key, value FROM registered_model_tags"))
    wrong = [] if aliases == expected else [f"aliases are {aliases}"]
    if not tags["audit.head"].startswith("5 ") or tags["audit.done"] != "5":
        wrong.append(f"the log's last record is {tags['audit.head'][:2]}, made are {tags['audit.done']}")
    os.chdir(victim.folder)
    if len(audit_record.read(victim.copy())) != 5:
        wrong.append(f"this machine's copy has {len(audit_record.read(victim.copy()))} records")
    return wrong


def _left(victim: Victim) -> list[str]:
    """What is wrong afterwards, whatever the command was."""
    surely(partial(_taken, victim))  # the lock of who was killed stands until the next one takes it over
    models = {name for (name,) in victim.sql("SELECT name FROM registered_models")}
    stones = {name for name in models if TOMBSTONE.fullmatch(name)}
    wrong = [f"{LEFT} for an hour: the tombstone of a lock"] if stones else []
    if models - stones != {MODEL}:
        wrong.append(f"registered models are {models - stones}")
    found = alone(lambda: (enter(victim.folder), command(["audit"]))[1], PATIENCE)
    if isinstance(found, Died) or found[0] != 0:
        wrong.append(f"the audit says {found}")
    return wrong


def _taken(victim: Victim) -> None:
    """The mutex can be had, and given back."""
    with mutex.held(victim.client(), MODEL, "register", PATIENCE) as still_held:
        still_held()


def _first_start(folder: Path) -> Case:
    """MLflow's database is made by whatever asks first."""

    def prepare() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    def start() -> list[str]:
        os.chdir(folder)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        with connection.connected() as client:
            client.create_registered_model(MODEL)
            return [found.name for found in client.search_registered_models()]

    def again() -> list[str]:
        there = (folder / "mlflow.db").exists()
        found = alone(_found if there else start, PATIENCE)
        wrong = [] if found == [MODEL] else [str(found)[-600:]]
        left = sorted(path.name for path in folder.iterdir() if path.name != "mlflow.db")
        return [*wrong, *([f"{LEFT}: {re.sub('[0-9]+', 'N', str(left))}"] if left else [])]

    def _found() -> list[str]:
        os.chdir(folder)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        with connection.connected() as client:
            names = [found.name for found in client.search_registered_models()]
            return names or start()

    return Case("first start", prepare, lambda: forked(start), lambda: sorted(folder.iterdir()), again, 14)
