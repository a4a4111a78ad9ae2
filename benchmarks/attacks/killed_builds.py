"""Whole builds that are killed: `dvc repro`, and the night that runs it.

The project is a copy of this checkout with two variants of the digits. Once it is built, more rounds of timing are
asked for: then the benchmark, the report, the registration and the promotion are to be done.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml
from mlflow import MlflowClient

from benchmarks.attacks.alone import Died, alone
from benchmarks.attacks.case import Case
from tests.end_to_end.nights import VARIANTS
from tests.end_to_end.project import Project

WATCHED = ("dvc.lock", "mlflow.db", "reports", "artifacts", ".dvc/tmp/rwlock")
TRIALS = 3
"""Runs, with a repair in between, that it may take after a kill."""
GOOD = ("promoted", "kept", "unchanged")
"""Outcomes of a night that ended well."""


def cases(folder: Path) -> Iterator[Case]:
    """One for `dvc repro`, one for the night."""
    place, built = folder / "build", folder / "built"
    place.mkdir()
    project = _built(place)
    subprocess.run(["cp", "-a", place, built], check=True)

    def prepare() -> None:
        shutil.rmtree(place)
        subprocess.run(["cp", "-a", built, place], check=True)
        project.set_params({"benchmark": {"rounds": 12}})

    def written() -> object:
        return [(each, (place / each).stat().st_mtime_ns) for each in WATCHED if (place / each).exists()]

    repro, night = partial(_start, project, "dvc", "repro"), partial(_start, project, "octavo", "nightly")
    yield Case("repro", prepare, repro, written, lambda: [*_repro_again(project), *_wrong(project)], 12)
    yield Case("nightly", prepare, night, written, lambda: [*_night_again(project), *_wrong(project)], 10)


def _built(folder: Path) -> Project:
    project = Project(folder)
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    params["policy"] |= {"max_accuracy_drop": 0.5, "max_recall_drop": 0.9, "max_latency_ratio": 100}
    for network in (*params["networks"].values(), *params["finetuned"].values()):
        network["epochs"] = 1
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    project.commit("a small project")
    project.run("dvc", "repro")
    return project


def _start(project: Project, *command: str) -> int:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"} | {"PATH": path}
    quiet = subprocess.DEVNULL
    started = subprocess.Popen(
        command, cwd=project.folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    return started.pid


def _repro_again(project: Project) -> list[str]:
    """As a person does: again, and where that fails the doctor first."""
    for _ in range(TRIALS):
        code, said = project.attempt("dvc", "repro")
        if code == 0:
            return []
        project.attempt("octavo", "doctor", "--mend")
    return [f"stuck, dvc repro says {said[-400:]}"]


def _night_again(project: Project) -> list[str]:
    """By itself, the next time that it is started."""
    code, said = project.attempt("octavo", "nightly")
    ended = sorted((project.folder / "reports/nightly").glob("2*.json"), key=lambda path: path.stat().st_mtime_ns)
    outcome = json.loads(ended[-1].read_bytes())["outcome"] if ended else "none"
    wrong = [] if outcome in GOOD else [f"the night ends with {code}, {outcome}: {said[-400:]}"]
    running = project.folder / "reports/nightly/running.json"
    return [*wrong, *(["a night that never ends is noted"] if running.exists() else [])]


def _wrong(project: Project) -> list[str]:
    """What is lost or doubled: each variant was timed twice, and has a run and a version of each time."""
    wrong = []
    found = alone(lambda: _registry(project), 120)
    if isinstance(found, Died):
        return [found.why[-400:]]
    versions, runs = found
    wanted = Counter(dict.fromkeys(VARIANTS, 2))
    if versions != wanted:
        wrong.append(f"versions are {dict(versions)}")
    if runs != wanted:
        wrong.append(f"finished runs are {dict(runs)}")
    code, said = project.attempt("dvc", "status")
    if code or "changed deps" in said or "changed outs" in said:
        wrong.append(f"dvc status: {said[-300:]}")
    code, said = project.attempt("octavo", "doctor")
    if code:
        wrong.append(f"octavo doctor: {said[-300:]}")
    return wrong


def _registry(project: Project) -> tuple[Counter[str], Counter[str]]:
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("octavo")
    assert experiment
    runs = client.search_runs([experiment.experiment_id])
    found = client.search_model_versions("name = 'octavo'")
    finished = Counter(str(run.info.run_name) for run in runs if run.info.status == "FINISHED")
    return Counter(version.tags["variant"] for version in found), finished
