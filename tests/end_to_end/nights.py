"""A project whose nights are run, killed and cut off: data of its own behind DVC, a real MLflow server, and what to ask
of them.
"""

import json
import os
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
import yaml
from mlflow import MlflowClient

from octavo.data import sources
from octavo.project.params.data import Data
from tests import servers
from tests.end_to_end.project import Project

VARIANTS = ("onnx_fp32", "onnx_int8_dynamic")
PATIENCE = 600
"""Seconds that a stage may take to begin, or a process to die."""
REMEMBER = "import sys; open('told.jsonl', 'a').write(sys.stdin.read() + chr(10))"
ORDER = np.random.default_rng(0).permutation(1797)
DIGITS = tuple(part[ORDER] for part in sources.load(Data(source="digits", path=Path("data"))).train)
"""Images and labels; as they ship, each hundred is by other hands than the next."""


@dataclass
class Nights:
    """A project whose nights fetch `source` by DVC and register at a server that can be gone."""

    project: Project
    source: Path
    store: Path
    database: str
    port: int

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def mlflow(self) -> Iterator[MlflowClient]:
        """The server, for as long as the block lasts."""
        with servers.tracking(self.database, self.store, port=self.port) as address:
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
        raise AssertionError(f"{stage} did not begin")

    def write(self, images: np.ndarray, labels: np.ndarray) -> None:
        """What the source has now; the last 300 digits are its test split."""
        test = slice(1497, 1797)
        np.savez(self.source, x_train=images, y_train=labels, x_test=DIGITS[0][test], y_test=DIGITS[1][test])

    def told(self) -> list[tuple[str, str]]:
        """Kind and outcome of every message."""
        path = self.project.folder / "told.jsonl"
        messages = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(message["kind"], message["outcome"]) for message in messages]


def made_in(project: Project, store: Path, database: str) -> Nights:
    """Nights of `project`, whose data and artifacts live in `store`, and whose MLflow is over `database`."""
    made = Nights(project, store / "source.npz", store, database, servers.free_port())
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
