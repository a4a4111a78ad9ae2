"""`octavo status` says what is in service, and what is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from octavo.project import paths
from octavo_mlflow.registry.mutex import mutex
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import WEIGHTS, Project

pytestmark = pytest.mark.slow

VARIANT = "litert_int8_static"


def test_it_shows_what_stands_and_the_last_move(project: Project, octavo: Octavo) -> None:
    assert "has no registered model octavo yet. Run dvc repro" in octavo("status")[2]
    project.register()
    assert octavo("status")[1].startswith("octavo has no champion yet. Promote one: octavo promote.\n")
    octavo("promote", VARIANT)
    project.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    project.register()
    octavo("promote", VARIANT, "--force", "--reason", "it is Friday")
    stdout = octavo("status")[1]
    rows = [line.split() for line in stdout.splitlines() if line.startswith((" champion", " previous", " anchor"))]
    assert [row[:3] for row in rows] == [
        ["champion", "3", VARIANT],
        ["previous", "2", VARIANT],
        ["anchor", "2", VARIANT],
    ]
    assert "96.67%" in stdout
    assert "Last: promote of version 3 by " in stdout
    assert ": it is Friday\n" in stdout
    assert f"Source: MLflow at sqlite:///{project.folder}/mlflow.db" in stdout

    project.client().set_registered_model_alias("octavo", "champion", "1")
    assert "aliases were moved without octavo" in octavo("status")[1]


def test_it_says_who_is_at_work(registered: Project, octavo: Octavo) -> None:
    with mutex.held(registered.client(), "octavo", "rollback"):
        shown = json.loads(octavo("status", "--json")[1])
    assert "for rollback, since" in shown["locked_by"]
    assert json.loads(octavo("status", "--json")[1])["locked_by"] is None


def test_it_brings_the_digests_of_code_up_to_date(registered: Project, octavo: Octavo) -> None:
    octavo("status")
    assert not paths.CODE.exists(), "without a pipeline there is nothing for DVC to compare"
    Path("dvc.yaml").write_text("stages: {}\n")
    octavo("status")
    assert json.loads(paths.CODE.read_bytes())["needed"]["fp32"] is True
