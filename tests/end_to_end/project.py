"""A copy of this checkout that is a project of its own, worked on by the commands that its users type."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

ROOT = Path(__file__).parents[2]
QUICK: dict[str, Any] = {
    "networks": {"fp32": {"epochs": 4}},
    "finetuned": {"control": {"epochs": 2}, "qat": {"epochs": 2}},
    "benchmark": {"rounds": 10},
}
"""Enough to learn something; the defaults are for people."""


def merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`old` with the changes at whatever depth they stand."""
    both = {key: merged(old.get(key, {}), each) if isinstance(each, dict) else each for key, each in changes.items()}
    return old | both


class Project:
    """A copy of this checkout, a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file() and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.set_params(QUICK)
        self.run("git", "init", "--quiet")
        self.commit("a new project")

    def run(self, *command: str, **variables: str) -> str:
        """What `command` prints, stderr after stdout, in the project and with the tests' own virtual environment."""
        code, said = self.attempt(*command, **variables)
        assert code == 0, f"{' '.join(command)}\n{said}"
        return said

    def attempt(self, *command: str, **variables: str) -> tuple[int, str]:
        """The exit code of `command`, and what it prints as for `run`; `variables` join its environment."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path}
        environment.pop("MLFLOW_TRACKING_URI", None)  # MLflow hands on what an earlier test of this process set
        environment |= variables
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, f"{done.stdout}\n{done.stderr}"

    def repro(self) -> list[str]:
        """The stages that `dvc repro` ran."""
        return re.findall(r"Running stage '([^']+)'", self.run("dvc", "repro"))

    def set_params(self, changes: dict[str, Any]) -> None:
        path = self.folder / "params.yaml"
        params = merged(yaml.safe_load(path.read_text(encoding="utf-8")), changes)
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "-m", message)

    def scorecards(self) -> dict[str, dict[str, Any]]:
        record = json.loads((self.folder / "reports/scorecards.json").read_bytes())
        return {card["variant"]: card for card in record["scorecards"]}

    def verdicts(self) -> dict[str, str]:
        """What each version in MLflow's registry says, by its number."""
        found = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}").search_model_versions("name = 'octavo'")
        return {str(version.version): version.tags["verdict"] for version in found}

    def runs(self) -> dict[str, dict[str, float]]:
        """MLflow's runs by name, with their metrics; each name has one."""
        found = self._runs()
        assert len({run.info.run_name for run in found}) == len(found)
        return {run.info.run_name: run.data.metrics for run in found}

    def run_names(self) -> set[str]:
        """What MLflow's runs are called; where variants were timed anew, several have one name."""
        return {run.info.run_name for run in self._runs()}

    def _runs(self) -> list[Run]:
        client = MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("octavo")
        assert experiment
        return list(client.search_runs([experiment.experiment_id]))
