"""`octavo rollback` brings back what was before, quickly, and with nothing but MLflow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from octavo.promotion import audit_record
from octavo_mlflow.promotion import commands, rollback
from tests.octavo_mlflow import measured_project
from tests.octavo_mlflow.conftest import Octavo, own_copy, typed
from tests.octavo_mlflow.measured_project import WEIGHTS, KeepProject, Project

pytestmark = pytest.mark.slow

VARIANT = "litert_int8_static"
HEAVY = ("tensorflow", "onnxruntime", "ai_edge_litert", "scipy", "sklearn", "pandas", "tf_keras", "tf2onnx")


def standing(project: Project) -> dict[str, str]:
    """Alias -> version."""
    return {alias: str(number) for alias, number in project.client().get_registered_model("octavo").aliases.items()}


@pytest.fixture(scope="module")
def promoted_once(keep_project: KeepProject) -> Project:
    """For `promoted`, which brings it back before each test."""

    def fill(project: Project) -> None:
        for factor in (1, 1.01):
            project.weigh(VARIANT, WEIGHTS * np.float32(factor))
            project.register()
            typed(commands.promote, VARIANT)
        assert standing(project) == {"anchor": "2", "previous": "2", "champion": "3"}

    return keep_project(fill)


@pytest.fixture
def promoted(promoted_once: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Version 2 was champion, version 3 is."""
    monkeypatch.chdir(promoted_once.folder)
    return measured_project.brought_back(promoted_once)


def test_it_returns_to_the_one_before_and_again(promoted: Project, octavo: Octavo) -> None:
    code, stdout, _ = octavo("rollback", "--reason", "cameras went blind")
    assert (code, stdout) == (0, "champion: octavo version 2 (litert_int8_static), rolled back from version 3\n")
    assert standing(promoted) == {"anchor": "2", "previous": "3", "champion": "2"}
    code, _, stderr = octavo("rollback")
    assert (code, "Version 3 of octavo, the champion before this one, was rolled back itself" in stderr) == (1, True)
    assert json.loads(octavo("rollback", "3", "--json")[1])["version"] == "3"
    assert standing(promoted) == {"anchor": "2", "previous": "2", "champion": "3"}
    *_, first, second = audit_record.read(own_copy())
    assert [(move.action, move.version, move.note) for move in (first, second)] == [
        ("rollback", "2", "cameras went blind"),
        ("rollback", "3", None),
    ]
    assert octavo("audit")[0] == 0


def test_a_version_can_be_named(promoted: Project, octavo: Octavo) -> None:
    assert octavo("rollback", "1")[0] == 0
    assert standing(promoted) == {"anchor": "2", "previous": "3", "champion": "1"}
    for version, message in (("1", "is the champion already"), ("99", "has no version 99"), ("x", "no version 'x'")):
        code, _, stderr = octavo("rollback", version)
        assert code == 1
        assert message in stderr


def test_what_was_rolled_back_is_promoted_again_only_by_name(promoted: Project, octavo: Octavo) -> None:
    assert octavo("rollback")[0] == 0
    code, _, stderr = octavo("promote")
    assert code == 2
    assert "what passes was rolled back before. Name a variant" in stderr
    assert standing(promoted)["champion"] == "2"
    assert octavo("promote", VARIANT)[0] == 0
    assert standing(promoted)["champion"] == "3"


def test_that_it_was_rolled_back_is_known_without_its_tag(promoted: Project, octavo: Octavo) -> None:
    assert octavo("rollback")[0] == 0
    promoted.client().delete_model_version_tag("octavo", "3", "rolled.back")
    for command, code, message in (("promote", 2, "was rolled back before"), ("rollback", 1, "was rolled back itself")):
        got, _, stderr = octavo(command)
        assert (got, message in stderr) == (code, True), stderr
    assert standing(promoted)["champion"] == "2"


def test_without_a_champion_there_is_nothing_to_return_to(registered: Project, octavo: Octavo) -> None:
    code, _, stderr = octavo("rollback")
    assert (code, "was champion before this one" in stderr) == (1, True)
    octavo("promote", VARIANT)
    assert octavo("rollback")[0] == 1


def test_damaged_bytes_are_not_brought_back(promoted: Project, octavo: Octavo) -> None:
    for stored in Path("mlruns").rglob("model.tflite"):
        stored.write_bytes(b"rotten")
    code, _, stderr = octavo("rollback")
    assert code == 1
    assert "is not the model that was measured" in stderr
    assert standing(promoted)["champion"] == "3"


def test_other_files_beside_the_model_are_not_brought_back(promoted: Project, octavo: Octavo) -> None:
    """A line in the code that loads a model runs wherever that is served."""
    for stored in Path("mlruns").rglob("exact_sums.py"):
        stored.write_text(stored.read_text() + "print('hello')\n")
    code, _, stderr = octavo("rollback")
    assert (code, "has other files beside its model than when it was champion" in stderr) == (1, True)
    assert standing(promoted)["champion"] == "3"


@pytest.mark.slow
def test_it_needs_no_training_environment(promoted: Project) -> None:
    """None of the libraries that train, run or judge models is even imported; onnx tells which files are a model's."""
    script = f"""
import importlib.abc, sys
class NotInstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled())
sys.argv = ["octavo", "rollback"]
from octavo.project.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert standing(promoted)["champion"] == "2"
    assert rollback.__file__


def test_what_only_mlflow_takes_for_a_number_and_endless_reasons_move_nothing(
    promoted: Project, octavo: Octavo
) -> None:
    before, records = standing(promoted), own_copy().read_text()
    for version in ("02", "+2", " 2", "٢", "", "9" * 30):
        code, _, stderr = octavo("rollback", version)
        assert (code, "octavo has no version" in stderr) == (1, True), stderr
    for command in (["rollback"], ["promote", VARIANT, "--force"]):
        code, _, stderr = octavo(*command, "--reason", "x" * 110_000)
        assert (code, "110,000 characters, allowed are 5,000" in stderr) == (1, True)
    assert octavo("promote", VARIANT, "--force", "--reason", " ")[0] == 1
    assert standing(promoted) == before
    assert octavo("audit")[0] == 0
    assert own_copy().read_text() == records


def test_a_champion_that_becomes_the_anchor_keeps_the_one_before(promoted: Project, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT, "--anchor")[0] == 0
    assert standing(promoted) == {"anchor": "3", "previous": "2", "champion": "3"}
    assert octavo("rollback")[0] == 0
    assert standing(promoted) == {"anchor": "3", "previous": "3", "champion": "2"}
