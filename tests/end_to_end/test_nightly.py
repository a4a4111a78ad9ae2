"""Nights of a real project, with a real MLflow server: killed in its stages, out of disk, out of reach, well again.

`benchmarks/nights.py` kills them in every stage and between any two. The tests are one story and run in their order: each leaves the project as the next one finds it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient

from pipeline import sources
from pipeline.params import Data
from tests import servers
from tests.end_to_end.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end, pytest.mark.timeout(900)]

VARIANTS = ("onnx_fp32", "onnx_int8_dynamic")
KILLED = ("prepare", "train", "quantize", "report", "register")
PATIENCE = 240
"""Seconds that a stage may take to begin, or a process to die."""
REMEMBER = "import sys; open('told.jsonl', 'a').write(sys.stdin.read() + chr(10))"
DIGITS = sources.load(Data(source="digits", path=Path("data"))).train


@dataclass
class Nights:
    """A project whose nights fetch `source` by DVC and register at a server that can be gone."""

    project: Project
    source: Path
    store: Path
    port: int

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def mlflow(self) -> Iterator[MlflowClient]:
        """The server, for as long as the block lasts."""
        with servers.tracking(f"sqlite:///{self.store}/mlflow.db", self.store, port=self.port) as address:
            yield MlflowClient(address)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            ["octavo", "nightly", *arguments],
            cwd=self.project.folder,
            env=os.environ | {"PATH": path, "MLFLOW_TRACKING_URI": self.uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """A whole night: its exit code and its record."""
        process = self.start(*arguments)
        process.communicate(timeout=900)
        return process.returncode, self.records()[-1]

    def records(self) -> list[dict[str, Any]]:
        """Nights that ended, the first first."""
        found = [json.loads(path.read_text()) for path in self.folder.glob("2*.json")]
        return sorted(found, key=lambda record: record["started"])

    @property
    def folder(self) -> Path:
        return self.project.folder / "reports/nightly"

    def await_stage(self, stage: str) -> None:
        """Wait until the night that runs now has begun `stage`."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            running = self.folder / "running.json"
            if running.exists():
                log = self.folder / f"{json.loads(running.read_text())['name']}.log"
                if log.exists() and f"Running stage '{stage}'" in log.read_text():
                    return
            time.sleep(0.05)
        pytest.fail(f"{stage} did not begin")

    def write(self, images: np.ndarray, labels: np.ndarray) -> None:
        """What the source has now; the last 300 digits are its test split."""
        test = slice(1497, 1797)
        np.savez(self.source, x_train=images, y_train=labels, x_test=DIGITS[0][test], y_test=DIGITS[1][test])

    def told(self) -> list[tuple[str, str]]:
        """Kind and outcome of every message."""
        path = self.project.folder / "told.jsonl"
        messages = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(message["kind"], message["outcome"]) for message in messages]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    project, store = Project(tmp_path_factory.mktemp("nights")), tmp_path_factory.mktemp("store")
    made = Nights(project, store / "source.npz", store, servers.free_port())
    made.write(DIGITS[0][:1000], DIGITS[1][:1000])
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["variants"] = {name: params["variants"][name] for name in VARIANTS}
    params["data"] |= {"source": "npz", "path": "raw.npz", "calibration": 200}
    params["policy"] |= {"max_accuracy_drop": 0.05, "max_recall_drop": 0.5, "max_latency_ratio": 100}
    params["nightly"]["notify"] = {"command": [sys.executable, "-c", REMEMBER]}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    project.run("dvc", "import-url", str(made.source), "raw.npz")
    project.commit("our own data")
    return made


def state(client: MlflowClient) -> tuple[Counter[str], Counter[str], dict[str, str]]:
    """Runs and versions of each variant, and the aliases."""
    experiment = client.get_experiment_by_name("octavo")
    assert experiment
    runs = Counter(str(run.info.run_name) for run in client.search_runs([experiment.experiment_id]))
    versions = Counter(version.tags["variant"] for version in client.search_model_versions("name = 'octavo'"))
    aliases = client.get_registered_model("octavo").aliases
    return runs, versions, {alias: str(version) for alias, version in aliases.items()}


def group(pid: int) -> list[int]:
    """Processes that were started by `pid`, and by those."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    children: dict[int, list[int]] = {}
    for child, parent in zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True):
        children.setdefault(parent, []).append(child)
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found[1:]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stages(project: Project) -> list[str]:
    return [line.split()[0] for line in project.run("dvc", "stage", "list", "--name-only").splitlines()]


def test_killed_in_a_stage_it_goes_on_where_it_stood(nights: Nights) -> None:
    """In turn the watching process is killed, the night's own, and the stage's."""
    names = [name for name in stages(nights.project) if name.partition("@")[0] in KILLED]
    with nights.mlflow() as client:
        for place, stage in enumerate(names):
            process = nights.start()
            nights.await_stage(stage)
            below = group(process.pid)
            victim = [process.pid, below[0], below[-1]][place % 3]
            os.kill(victim, signal.SIGKILL)
            process.communicate(timeout=PATIENCE)
            deadline = time.monotonic() + PATIENCE
            while any(map(is_alive, below)) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not any(map(is_alive, below)), f"{stage} goes on"
        code, record = nights.run()
        assert (code, record["outcome"]) == (0, "promoted"), record
        assert set(record["stages"]) == {"register"}, "what was done before is not done again"
        runs, versions, aliases = state(client)
        assert runs == versions == dict.fromkeys(VARIANTS, 1)
        assert len(set(aliases.values())) == 1
        assert "the chain is whole" in octavo(nights, "audit")
        outcomes = [each["outcome"] for each in nights.records()]
        assert len(outcomes) == len(names) + 1
        assert set(outcomes[:-1]) <= {"killed", "failed"}
        assert nights.told() == [("failure", outcome) for outcome in outcomes[:-1]] + [("recovery", "promoted")]
        shown = client.get_experiment_by_name("octavo.nightly")
        assert shown
        shown_runs = Counter(run.info.run_name for run in client.search_runs([shown.experiment_id]))
        assert shown_runs == Counter(each["name"] for each in nights.records())
    assert (nights.folder / "heartbeat").exists()


def octavo(nights: Nights, *arguments: str) -> str:
    os.environ["MLFLOW_TRACKING_URI"] = nights.uri
    return nights.project.run("octavo", *arguments)


def test_an_idle_night_adds_nothing_and_a_second_one_at_once_is_told_who_runs(nights: Nights) -> None:
    with nights.mlflow() as client:
        before = state(client)
        first = nights.start()
        nights.await_stage("register")
        second, due = nights.start(), nights.start("--due", "00:00 UTC")
        _, said = second.communicate(timeout=PATIENCE)
        assert (second.returncode, f"A night runs already: process {first.pid}, since" in said) == (3, True)
        assert due.communicate(timeout=PATIENCE) == ("", "")
        assert due.returncode == 0
        first.communicate(timeout=PATIENCE)
        record = nights.records()[-1]
        assert (first.returncode, record["outcome"], record["stages"]) == (0, "unchanged", ["register"])
        assert state(client) == before
        assert nights.start("--due", "00:00 UTC").communicate(timeout=PATIENCE) == ("", "")
        assert nights.records()[-1] == record


@pytest.mark.parametrize(
    ("what", "says"),
    [("inverted", "The data have drifted: Mean brightness"), ("broken", "The data are broken: Labels of train")],
)
def test_drifted_and_broken_data_are_refused_before_anything_is_trained(nights: Nights, what: str, says: str) -> None:
    images, labels = DIGITS[0][:1400].copy(), DIGITS[1][:1400].copy()
    images[1000:] = 255 - images[1000:] if what == "inverted" else images[1000:]
    labels[1000:] = labels[1000:] if what == "inverted" else -1
    nights.write(images, labels)
    with nights.mlflow():
        code, record = nights.run()
    assert (code, record["outcome"]) == (2, "refused")
    assert says in record["reasons"][0]
    assert set(record["stages"]) <= {"prepare"}
    assert nights.told()[-1] == ("failure", "refused")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have a disk that is full")
def test_a_full_disk_and_a_server_that_is_gone_are_waited_out(nights: Nights, tmp_path: Path) -> None:
    """New data; the disk has no room for what is made of them, then MLflow is away. Nothing is done twice."""
    nights.write(DIGITS[0][:1400], DIGITS[1][:1400])
    cache = nights.project.folder / ".dvc/cache"
    with nights.mlflow() as client, full_disk(cache, tmp_path):
        before = state(client)
        code, record = nights.run()
        assert (code, record["outcome"]) == (3, "failed")
        assert "The disk is full. Make room" in record["reasons"][0]
        assert state(client) == before
    code, record = nights.run()
    assert (code, record["outcome"]) == (3, "failed")
    assert "MLflow at" in record["reasons"][0]
    with nights.mlflow() as client:
        code, record = nights.run()
        assert code == 0
        assert record["outcome"] in ("promoted", "kept")
        runs, versions, _ = state(client)
        assert runs == versions == dict.fromkeys(VARIANTS, 2)
        assert "the chain is whole" in octavo(nights, "audit")
        shown = client.get_experiment_by_name("octavo.nightly")
        assert shown
        assert len(client.search_runs([shown.experiment_id])) == len(nights.records())
    assert nights.told()[-1] == ("recovery", record["outcome"])


@contextmanager
def full_disk(folder: Path, place: Path) -> Iterator[None]:
    """For as long as the block lasts, `folder` is on a disk of half a megabyte, beside what it holds."""
    size = sum(path.stat().st_size for path in folder.rglob("*")) // 1024 + 512
    away = place / "away"
    subprocess.run(["cp", "-a", folder, away], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{away}/.", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_source_out_of_reach_stops_the_night_before_anything_is_done(nights: Nights) -> None:
    hidden = nights.source.rename(nights.source.with_suffix(".away"))
    with nights.mlflow():
        code, record = nights.run()
        assert (code, record["outcome"], record["stages"]) == (3, "failed", [])
        assert "The data at raw.npz cannot be brought up to date" in record["reasons"][0]
        hidden.rename(nights.source)
        assert nights.run()[1]["outcome"] == "unchanged"
    assert nights.told()[-2:] == [("failure", "failed"), ("recovery", "unchanged")]
