"""What was promoted, by whom and why, cannot be changed unnoticed; and every verdict can be found again."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlflow_plugins import aliases, audit_log
from pipeline import layout, moves
from tests.mlflow_plugins.conftest import Octavo
from tests.mlflow_plugins.measured_project import WEIGHTS, Project, worse

VARIANT = "litert_int8_static"


@pytest.fixture
def promoted(project: Project, octavo: Octavo) -> Project:
    """Two promotions, the second by force, and a way back."""
    project.register()
    assert octavo("promote", VARIANT)[0] == 0
    project.weigh(VARIANT, worse(60))
    project.register()
    assert octavo("promote", VARIANT, "--force", "--reason", "try it")[0] == 0
    assert octavo("rollback")[0] == 0
    return project


def test_a_whole_log_is_said_to_be_whole(promoted: Project, octavo: Octavo) -> None:
    code, stdout, _ = octavo("audit")
    assert code == 0
    assert "3 moves of octavo: the chain is whole" in stdout
    assert [line.split()[2] for line in stdout.splitlines()[:3]] == ["promote", "promote", "rollback"]


def rewrite(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def forge(promoted: Project) -> None:
    """Every record behind a changed one hashed anew, as somebody would who knows how."""
    records = sorted(Path("mlruns").rglob("records/*.json"))
    chain = [moves.parse(path.read_text(), "") for path in records]
    chain[1] = chain[1].model_copy(update={"who": "nobody"})
    chain[2] = chain[2].model_copy(update={"parent": chain[1].hash})
    for path, move in zip(records, chain, strict=True):
        path.write_text(move.line())
    promoted.client().set_registered_model_tag("octavo", audit_log.HEAD, f"3 {chain[2].hash}")


def swap_bytes(promoted: Project) -> None:
    for path in Path("mlruns").rglob("model.tflite"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")


def move_by_hand(promoted: Project) -> None:
    promoted.client().set_registered_model_alias("octavo", "champion", "1")


TAMPERING: dict[str, tuple[Callable[[Project], object], str]] = {
    "a record in MLflow": (
        lambda _: rewrite(sorted(Path("mlruns").rglob("records/*.json"))[1], who="nobody"),
        "record 3 follows",
    ),
    "the last record": (
        lambda _: rewrite(sorted(Path("mlruns").rglob("records/*.json"))[2], who="nobody"),
        "not the one that the registered model names",
    ),
    "all records, hashed anew": (forge, "something else than MLflow's copy"),
    "the local copy": (
        lambda _: layout.audit_log("octavo").write_text(
            layout.audit_log("octavo").read_text().replace("try it", "tried")
        ),
        "something else than MLflow's copy",
    ),
    "a record removed": (lambda _: sorted(Path("mlruns").rglob("records/*.json"))[2].unlink(), "Somebody removed it"),
    "what it was judged by": (
        lambda _: rewrite(min(Path("mlruns").rglob("grounds/*.json")), same_answers=0.5),
        "what record 1 was judged by was changed",
    ),
    "the bytes": (swap_bytes, "is not the model that was measured"),
    "the aliases": (move_by_hand, "they were moved by other means"),
    "a version": (
        lambda project: project.client().delete_model_version("octavo", "3"),
        "version 3 or its file is gone",
    ),
    "a version's digest": (
        lambda project: project.client().set_model_version_tag("octavo", "3", "model.sha256", "0" * 64),
        "the digest of version 3 was changed",
    ),
    "a version's record": (
        lambda project: project.client().set_model_version_tag("octavo", "3", aliases.RECORD, "1 abc"),
        "version 3 does not name record 2",
    ),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_noticed(promoted: Project, octavo: Octavo, what: str) -> None:
    tamper, message = TAMPERING[what]
    tamper(promoted)
    code, _, stderr = octavo("audit")
    assert code == 2
    assert message in stderr


def test_after_tampering_nothing_moves(promoted: Project, octavo: Octavo) -> None:
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    layout.audit_log("octavo").write_text(layout.audit_log("octavo").read_text().replace("try it", "tried"))
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert "do not fit together" in stderr


def test_another_machine_gets_the_log_from_mlflow(promoted: Project, octavo: Octavo) -> None:
    path = layout.audit_log("octavo")
    before = path.read_text()
    path.unlink()
    assert octavo("audit")[0] == 0
    assert octavo("promote", VARIANT, "--force", "--reason", "try it again")[0] == 0
    assert path.read_text().startswith(before)
    assert len(moves.read(path)) == 4


def test_verdicts_are_found_again(promoted: Project, octavo: Octavo) -> None:
    code, stdout, _ = octavo("replay")
    assert code == 0
    assert "unmet: accuracy drop" in stdout
    assert "Record 2: litert_int8_static is judged as it was on" in stdout
    assert "forced: try it" in stdout
    assert "unmet" not in octavo("replay", "1")[1]
    for record in ("3", "7"):
        code, _, stderr = octavo("replay", record)
        assert (code, f"No promotion {record} of octavo to replay. Recorded: 1, 2." in stderr) == (1, True)


def test_a_verdict_that_does_not_follow_is_noticed(promoted: Project, octavo: Octavo) -> None:
    rewrite(min(Path("mlruns").rglob("grounds/*.json")), same_answers=0.5)
    code, _, stderr = octavo("replay", "1")
    assert code == 2
    assert "what record 1 was judged by was changed" in stderr
