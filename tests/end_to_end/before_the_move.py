"""Octavo as it was before its packages were renamed, and a project that it made."""

import os
import subprocess
import sys
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMIT = "3d619e8"
"""The last one whose packages are called `pipeline`, `stages` and `mlflow_plugins`."""
FOLDERS = ("pipeline", "stages", "mlflow_plugins", "tests", "params.yaml", "pyproject.toml")
PROGRAMS = {
    "crontab": '#!/bin/sh\nif [ "$1" = - ]; then cat > "$0.lines"; else cat "$0.lines" 2>/dev/null; fi; true\n',
    "systemctl": "#!/bin/sh\n",
    "loginctl": "#!/bin/sh\n",
}
"""What takes a schedule in place of this machine's own."""
MAKE = """
import sys
from datetime import datetime, time, timedelta, timezone
from importlib.metadata import entry_points
from pathlib import Path
from zoneinfo import ZoneInfo

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.deployments import get_deploy_client

from mlflow_plugins import companions, litert, onnx, registered
from pipeline import cli, gate, layout, night as nights
from pipeline.daily import Daily
from pipeline.schedule import cron, systemd
from pipeline.schedule.night import here
from tests import keys
from tests.mlflow_plugins import measured_project
from tests.mlflow_plugins.measured_project import WEIGHTS


def octavo(*arguments):
    sys.argv = ["octavo", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)


(entry,) = entry_points(group="mlflow.deployments", name="octavo")
assert entry.module == "mlflow_plugins.deployments"
place = Path.cwd()
store = place.with_name("empty") / "mlflow.db"
store.parent.mkdir()
MlflowClient(f"sqlite:///{store}").search_experiments()
project = measured_project.make(place, store, "onnx_fp32", "litert_int8_static")
project.register()
decision = gate.decide(project.scorecards, project.params.policy, "onnx_fp32")
for found in MlflowClient().search_model_versions("name = 'octavo'"):
    card = project.scorecards.card(registered.variant(found))
    companions.log(str(found.run_id), registered.model_id(found), card, project.scorecards, decision, project.params)
octavo("promote", "litert_int8_static")
octavo("sign")
project.weigh("litert_int8_static", WEIGHTS * np.float32(1.01))
project.register()
octavo("promote", "litert_int8_static")
get_deploy_client("octavo").create_deployment("cam", "models:/octavo@champion")
for flavor, name in ((onnx, "onnx_fp32"), (litert, "litert_int8_static")):
    with mlflow.start_run():
        flavor.log_model(layout.model(name), name=name)
since = datetime.now(timezone.utc) - timedelta(days=2)
ended = nights.begin().model_copy(update={"name": f"{since:%Y-%m-%d}", "started": since}).end("kept", "It was so.")
nights.save(ended.model_copy(update={"ended": since + timedelta(minutes=1)}))
nightly = here(Daily(time(0, 0), ZoneInfo("UTC"), since))
systemd.install(nightly)
cron.install(nightly)
"""
"""Run in an empty folder, by the code of that commit."""


def unpack(folder: Path) -> None:
    """Put that commit's code into `folder`, declared as the distribution that it was; skip where there is none."""
    git = ["git", "-C", str(ROOT), "archive", COMMIT, *FOLDERS]
    archive = subprocess.run(git, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"the history here does not reach back to {COMMIT}: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = [f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in own.items()) for group, own in groups.items()]
    declared = folder / f"octavo-{project['version']}.dist-info"
    declared.mkdir()
    (declared / "METADATA").write_text(f"Metadata-Version: 2.1\nName: octavo\nVersion: {project['version']}\n")
    (declared / "entry_points.txt").write_text("\n".join(lines))


def make(code: Path, folder: Path, environment: dict[str, str]) -> None:
    """Let the code in `code` make a project in `folder`.

    It has a champion with one before it, a signature, a deployment, a night that ended, schedules by cron and by
    systemd, and a logged model of each format.
    """
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    variables = os.environ | environment | {"PYTHONPATH": str(code), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", MAKE], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
