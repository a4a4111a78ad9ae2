"""Killed between any two writes, register and promote are finished by the next run: nothing twice, nothing half."""

import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from uuid import uuid4

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.tracking._model_registry.client import ModelRegistryClient
from mlflow.tracking._tracking_service.client import TrackingServiceClient

from octavo.project.errors import ModelError
from octavo.project.params.registry import Registry
from octavo_mlflow.promotion import promote as promotion_promote
from octavo_mlflow.promotion import rollback
from octavo_mlflow.registration import register
from octavo_mlflow.registry.standing import state
from tests.octavo_mlflow.measured_project import WEIGHTS, MakeProject, Project

FORKS = multiprocessing.get_context("fork")
CLIENTS = (TrackingServiceClient, ModelRegistryClient)
WRITES = ("create_", "log_", "set_", "rename_", "delete_", "restore_", "update_", "finalize_")
BASELINE, VARIANT = "onnx_fp32", "litert_int8_static"
STRIDE = 5
"""Every fifth write is the last; every one where a promotion writes to a store of this process."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def killed(action: Callable[[], object], write: int) -> bool:
    """Run `action` in a process that dies instead of its write of that number; whether it came so far."""
    process = FORKS.Process(target=_until, args=(action, write))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _until(action: Callable[[], object], write: int) -> None:
    left = write

    def deadly(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*args, **options)

        return call

    for client in CLIENTS:
        for name in [name for name in vars(client) if name.lstrip("_").startswith(WRITES)]:
            setattr(client, name, deadly(vars(client)[name]))
    action()
    os._exit(0)


@pytest.fixture
def project(make_project: MakeProject, store: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Registered under a name of its own in each kind of store."""
    made = make_project(BASELINE, VARIANT)
    name = f"killed-{uuid4().hex[:8]}"
    made.params = made.params.model_copy(update={"registry": Registry(experiment=name, model=name)})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    return made


def versions(project: Project) -> Counter[str]:
    found = MlflowClient().search_model_versions(f"name = '{project.params.registry.model}'")
    return Counter(version.tags["variant"] for version in found)


def runs(project: Project) -> Counter[str]:
    experiment = MlflowClient().get_experiment_by_name(project.params.registry.experiment)
    assert experiment
    return Counter(str(run.info.run_name) for run in MlflowClient().search_runs([experiment.experiment_id]))


def test_registering_is_finished_by_the_next_run(project: Project) -> None:
    def action() -> None:
        register.register(project.scorecards, project.params)

    write = 1
    while killed(action, write):
        write += STRIDE
    assert write > STRIDE
    action()
    assert runs(project) == versions(project) == {BASELINE: 1, VARIANT: 1}


def test_a_promotion_is_finished_by_the_next_command(project: Project) -> None:
    """Whatever had been begun, the two together make one move."""
    first, second = two_promotions(project)

    def promote() -> None:
        promotion_promote.move_champion(
            MlflowClient(), project.params, project.scorecards, promotion_promote.Wish(VARIANT)
        )

    write = 0
    while True:
        write += 1 if mlflow.get_tracking_uri().startswith("sqlite") else STRIDE
        moves = number_of_moves(project)
        if not killed(promote, write):
            break
        promote()
        assert standing(project) == {"champion": second, "previous": first, "anchor": first}
        assert number_of_moves(project) == moves + 1
        rollback.move_back(MlflowClient(), project.params.registry.model)
    assert write > 8


def test_a_rollback_is_finished_by_the_next_command(project: Project) -> None:
    first, second = two_promotions(project)
    there, back = second, first

    def roll_back() -> None:
        rollback.move_back(MlflowClient(), project.params.registry.model, there)

    write = 0
    while True:
        write += STRIDE
        moves = number_of_moves(project)
        if not killed(roll_back, write):
            break
        with suppress(ModelError):  # it was made, and what was cut short is the release of the mutex
            roll_back()
        assert standing(project) == {"champion": there, "previous": back, "anchor": first}
        assert number_of_moves(project) == moves + 1
        there, back = back, there
    assert write > STRIDE


def two_promotions(project: Project) -> tuple[str, str]:
    """The version that is champion, and one that could be next."""
    register.register(project.scorecards, project.params)
    promotion_promote.move_champion(MlflowClient(), project.params, project.scorecards, promotion_promote.Wish(VARIANT))
    project.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    register.register(project.scorecards, project.params)
    promotion_promote.move_champion(MlflowClient(), project.params, project.scorecards, promotion_promote.Wish(VARIANT))
    rollback.move_back(MlflowClient(), project.params.registry.model)
    return "2", "3"


def standing(project: Project) -> dict[str, str]:
    return state(MlflowClient(), project.params.registry.model).aliases


def number_of_moves(project: Project) -> int:
    """Once all of them are made."""
    found = state(MlflowClient(), project.params.registry.model)
    assert not found.unfinished
    return found.head[0]
