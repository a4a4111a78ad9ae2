"""What was made before the packages were renamed goes on working: a store, a deployment, schedules, logged models."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.deployments import get_deploy_client

from octavo.backends import model_files
from octavo.backends.registry import open_model
from octavo.project import cli
from tests import keys
from tests.end_to_end import before_the_move
from tests.end_to_end.before_the_move import PROGRAMS, ROOT
from tests.octavo_mlflow.measured_project import test_split as split_for_test

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]

ONNX, LITERT = "onnx_fp32", "litert_int8_static"
CRON_LINE = re.compile(r"\*/10 \* \* \* \* (?P<command>.+) # octavo-project-\w{8}, by octavo schedule")
IDLE_PIPELINE = {
    "prepare": {"cmd": "true", "always_changed": True},
    "code": {"cmd": "true", "always_changed": True},
    "register": {"cmd": "python -m octavo_stages.register", "always_changed": True},
}
"""Stages of a night that has nothing new to build."""
Octavo = Callable[..., str]


@dataclass(frozen=True)
class Made:
    """A project of the former code, which is the working directory, and what it has outside of its folder."""

    folder: Path
    crontab: Path
    """What `crontab` was given."""
    environment: dict[str, str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    place = tmp_path_factory.mktemp("before")
    before_the_move.unpack(place / "code")
    programs = place / "programs"
    programs.mkdir()
    for name, script in PROGRAMS.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    pair = keys.make(place, "signing")
    environment = {
        "OCTAVO_SIGNING_KEY": str(pair.private),
        "OCTAVO_VERIFYING_KEY": str(pair.public),
        "OCTAVO_DEPLOYMENTS": str(place / "deployments"),
        "XDG_CONFIG_HOME": str(place / "config"),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    made = Made(place / "project", programs / "crontab.lines", environment)
    before_the_move.make(place / "code", made.folder, environment)
    upgrade(made.folder)
    yield made
    os.environ["OCTAVO_DEPLOYMENTS"] = environment["OCTAVO_DEPLOYMENTS"]
    get_deploy_client("octavo").delete_deployment("cam")


@pytest.fixture
def made(project: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """The project, with this process in it."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(f"sqlite:///{project.folder}/mlflow.db")  # not relative: MLflow keeps stores by this text
    return project


@pytest.fixture
def octavo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Octavo:
    """Run the present `octavo` with success; what it prints."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["octavo", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed, said = capsys.readouterr()
        assert not ended.value.code, said
        return printed

    return run


def upgrade(folder: Path) -> None:
    """Do what a user does by hand: take over the present `params.yaml` and `dvc.yaml`."""
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": IDLE_PIPELINE}))
    (folder / ".gitignore").write_text("/artifacts/\n/reports/\n/mlflow.db\n/mlruns/\n")
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", *author, "commit", "--quiet", "-m", "upgraded"],
    ):
        subprocess.run(command, cwd=folder, check=True)


def aliases() -> dict[str, str]:
    found = MlflowClient().get_registered_model("octavo").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_models_load_with_the_code_that_they_bring(made: Made) -> None:
    images = split_for_test().images[:50]
    bytes_ = (np.abs(images) * 50).astype(np.uint8)
    expected = open_model(model_files.path_of(LITERT))(images)
    served = mlflow.pyfunc.load_model("models:/octavo@champion")
    assert served.loader_module.startswith("mlflow_plugins.")
    np.testing.assert_array_equal(served.predict(images, params={"dtype": "float32"}), expected)
    logged = {model.name: model.model_uri for model in MlflowClient().search_logged_models(["0"])}
    assert set(logged) == {ONNX, LITERT}
    for name, uri in logged.items():
        run = open_model(model_files.path_of(name))
        loaded = mlflow.pyfunc.load_model(uri)
        np.testing.assert_array_equal(loaded.predict(bytes_), run(bytes_.astype(np.float32) / np.float32(255)))


def test_the_audit_log_holds_and_promotions_are_replayed(made: Made, octavo: Octavo) -> None:
    assert "the chain is whole" in octavo("audit")
    status = json.loads(octavo("status", "--json"))
    assert status["aliases"]["champion"]["version"] == "3", status
    assert f"the verdict on {LITERT} is the" in octavo("replay", "2")
    octavo("verify", "2")


def test_a_deployment_is_listed_goes_on_answering_and_is_replaced(made: Made) -> None:
    images = split_for_test().images[:5]
    target = get_deploy_client("octavo")
    (before,) = target.list_deployments()
    assert (before["name"], before["status"], before["version"]) == ("cam", "running", "3")
    expected = open_model(model_files.path_of(LITERT))(images)
    np.testing.assert_array_equal(np.array(target.predict("cam", images)["predictions"], np.float32), expected)
    after = target.update_deployment("cam", "models:/octavo/1")
    assert (after["status"], after["version"], after["address"]) == ("running", "1", before["address"])
    assert not Path(before["folder"]).exists(), "the process of the former code ended"
    expected = open_model(model_files.path_of(ONNX))(images)
    np.testing.assert_array_equal(np.array(target.predict("cam", images)["predictions"], np.float32), expected)


def test_a_schedule_is_known_and_its_night_runs(made: Made, octavo: Octavo) -> None:
    shown = json.loads(octavo("schedule", "show", "--json"))
    assert (shown["at"], shown["zone"], shown["active"]) == ("00:00", "UTC", True)
    assert shown["last"].endswith(", kept")
    (line,) = filter(None, map(CRON_LINE.fullmatch, made.crontab.read_text().splitlines()))
    assert shown["command"].replace('"', "") in line["command"].replace("'", ""), "both start the same"
    done = subprocess.run(["sh", "-c", line["command"].replace(r"\%", "%")], check=False)
    log = (made.folder / "reports/nightly/cron.log").read_text()
    assert done.returncode == 0, log
    latest = max((made.folder / "reports/nightly").glob("2*.json"), key=lambda path: path.stat().st_mtime)
    night = json.loads(latest.read_text())
    assert (night["outcome"], night["champion"]) == ("kept", {"before": "3", "now": "3"}), log
    assert set(night["stages"]) == IDLE_PIPELINE.keys()
    assert len(MlflowClient().search_model_versions("name = 'octavo'")) == 3, "nothing was registered anew"
    assert subprocess.run(["sh", "-c", line["command"].replace(r"\%", "%")], check=False).returncode == 0
    assert max((made.folder / "reports/nightly").glob("2*.json"), key=lambda path: path.stat().st_mtime) == latest
    assert octavo("schedule", "remove").startswith("No night is scheduled")
    assert made.crontab.read_text() == ""


def test_a_champion_is_rolled_back_and_promoted_again(made: Made, octavo: Octavo) -> None:
    assert aliases() == {"anchor": "2", "previous": "2", "champion": "3"}
    octavo("rollback")
    assert aliases() == {"anchor": "2", "previous": "3", "champion": "2"}
    octavo("promote", LITERT)
    assert aliases()["champion"] == "3"
    assert "the chain is whole" in octavo("audit")
