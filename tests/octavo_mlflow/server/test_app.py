"""On a server with Octavo's gate a model becomes champion by the server's policy, whatever way it is asked."""

import inspect
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server import handlers
from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.project.errors import ParamsError
from octavo_mlflow.registry.standing import HEAD, LOG
from octavo_mlflow.server import alias_guard, app
from octavo_mlflow.server.alias_guard import Guarded
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import WEIGHTS, Project, worse
from tests.octavo_mlflow.team import change_policy, share, standing, tag

ROOT = Path(__file__).parents[3]
BASELINE, VARIANT = "onnx_fp32", "litert_int8_static"
CANNOT_MOVE_AN_ALIAS = {
    "update_registered_model",
    "update_model_version",
    "copy_model_version",
    "set_model_version_tag",
    "delete_model_version_tag",
    "create_webhook",
    "update_webhook",
    "delete_webhook",
    "test_webhook",
}
"""What the store can write besides; what it writes of prompts goes through the methods of registered models."""
PATHS = {
    "registered-models/alias",
    "registered-models/create",
    "registered-models/delete",
    "registered-models/delete-tag",
    "registered-models/rename",
    "registered-models/set-tag",
    "registered-models/update",
    "model-versions/create",
    "model-versions/delete",
    "model-versions/delete-tag",
    "model-versions/set-tag",
    "model-versions/transition-stage",
    "model-versions/update",
}
"""Paths of MLflow's REST API that write to the registry, each below `/api/2.0/mlflow/` and `/ajax-api/2.0/mlflow/`."""


@pytest.fixture
def shared(project: Project, gated_server: str) -> Project:
    """A project registered at the server with the gate."""
    share(project, gated_server)
    project.register()
    return project


def loose(client: MlflowClient, model: str) -> str:
    """A version that Octavo did not register."""
    experiment = client.get_experiment_by_name(model)
    run = client.create_run(experiment.experiment_id if experiment else client.create_experiment(model)).info.run_id
    return str(client.create_model_version(model, f"runs:/{run}/model", run, await_creation_for=0).version)


@pytest.mark.slow
def test_octavo_promotes_and_rolls_back_through_the_gate(shared: Project, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT)[0] == 0
    shared.weigh(VARIANT, WEIGHTS * 1.01)
    shared.register()
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, stderr.count("\n"), "Judged once, by hand" in stderr) == (0, 1, True), stderr
    assert standing(shared) == {"anchor": "2", "previous": "2", "champion": "3"}
    assert octavo("rollback")[0] == 0
    assert standing(shared) == {"anchor": "2", "previous": "3", "champion": "2"}
    assert octavo("promote", VARIANT, "--anchor")[0] == 0
    assert standing(shared) == {"anchor": "3", "previous": "2", "champion": "3"}
    assert octavo("audit")[0] == 0


@pytest.mark.slow
def test_nothing_that_was_recorded_moves_by_hand(shared: Project, octavo: Octavo) -> None:
    octavo("promote", VARIANT)
    model, client, before = shared.params.registry.model, shared.client(), standing(shared)
    by_hand: list[Callable[[], object]] = [
        lambda: client.set_registered_model_alias(model, "champion", "1"),
        lambda: client.set_registered_model_alias(model, "anchor", "1"),
        lambda: client.set_registered_model_alias(model, "previous", "1"),
        lambda: client.delete_registered_model_alias(model, "champion"),
        lambda: client.set_registered_model_tag(model, HEAD, f"2 {64 * 'a'}"),
        lambda: client.set_registered_model_tag(model, HEAD, f"7 {64 * 'a'}"),
        lambda: client.set_registered_model_tag(model, HEAD, "?"),
        lambda: client.delete_registered_model_tag(model, HEAD),
        lambda: client.delete_model_version(model, "2"),
        lambda: client.delete_model_version(model, "02"),
        lambda: client.set_registered_model_alias(model, "Champion", "1"),
        lambda: client.set_registered_model_alias(model, "ch\u0430mpion", "1"),
        lambda: client.set_registered_model_tag(model, LOG, "another"),
        lambda: client.delete_registered_model_tag(model, LOG),
        lambda: client.set_model_version_tag(model, "1", "model.sha256", "0" * 64),
        lambda: client.delete_model_version_tag(model, "1", "octavo.digest"),
        lambda: client.rename_registered_model(model, f"{model}-2"),
        lambda: client.delete_registered_model(model),
    ]
    for move in by_hand:
        with pytest.raises(MlflowException, match=r"^PERMISSION_DENIED: .*\.$"):
            move()
    assert standing(shared) == before == {"anchor": "2", "champion": "2"}
    client.set_registered_model_alias(model, "champion", "2")
    client.set_registered_model_alias(model, "shadow", "1")
    client.delete_registered_model_alias(model, "shadow")
    client.delete_model_version(model, "1")
    assert octavo("audit")[0] == 0


@pytest.mark.slow
def test_the_first_champion_is_not_made_by_hand_either(shared: Project) -> None:
    model = shared.params.registry.model
    for version in ("1", "2", loose(shared.client(), model)):
        with pytest.raises(MlflowException, match="is moved only by octavo promote and octavo rollback"):
            shared.client().set_registered_model_alias(model, "champion", version)
    assert standing(shared) == {}


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_the_page_of_the_ui_gets_the_same_answer(shared: Project, gated_server: str, prefix: str) -> None:
    asked = {"name": shared.params.registry.model, "alias": "champion", "version": "2"}
    page = f"{gated_server}{prefix}/2.0/mlflow/registered-models/alias"
    for told in (asked, json.dumps(asked)):
        answer = requests.post(page, json=told, timeout=30)
        assert answer.status_code == 403
        assert answer.json()["error_code"] == "PERMISSION_DENIED"
        assert "is moved only by octavo promote" in answer.json()["message"]
    assert standing(shared) == {}


@pytest.mark.slow
def test_the_servers_policy_decides_and_nothing_is_left_half_done(shared: Project, octavo: Octavo) -> None:
    octavo("promote", VARIANT)
    before, named = standing(shared), tag(shared)
    shared.weigh(VARIANT, worse(60))
    shared.register()
    change_policy(max_accuracy_drop=0.5, max_recall_drop=0.9)
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert stderr.startswith(f"octavo: Version 3 ({VARIANT}) does not become champion of ")
    assert "by this server's policy: the accuracy drop is at least" in stderr
    assert stderr.count("\n") == 1
    code, _, stderr = octavo("promote", VARIANT, "--force", "--reason", "it is Friday")
    assert (code, "Those who manage the model may force it." in stderr) == (2, True)
    assert (standing(shared), tag(shared)) == (before, named)
    assert not json.loads(octavo("status", "--json")[1])["unfinished"]
    assert not shared.client().search_registered_models(f"name LIKE '{shared.params.registry.model}.lock%'")

    shared.weigh(VARIANT, WEIGHTS * 1.01)
    shared.register()
    assert octavo("promote", VARIANT)[0] == 0
    assert standing(shared)["champion"] == "4"
    code, _, stderr = octavo("rollback", "1")
    assert (code, "by this server's policy: it was never champion" in stderr) == (2, True)
    assert octavo("audit")[0] == 0


@pytest.mark.slow
def test_figures_that_were_changed_in_between_are_not_promoted(shared: Project, octavo: Octavo) -> None:
    model = shared.params.registry.model
    shared.client().set_model_version_tag(model, "2", "latency_us", "0.1")
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, "version 2 shows another latency_us than was judged" in stderr) == (2, True)
    assert standing(shared) == {}


@pytest.mark.slow
def test_other_models_are_left_alone(gated_server: str, name: str) -> None:
    client = MlflowClient(gated_server)
    client.create_registered_model(name)
    version = loose(client, name)
    for alias in ("champion", "previous"):
        client.set_registered_model_alias(name, alias, version)
    client.delete_registered_model_alias(name, "previous")
    client.rename_registered_model(name, f"{name}'s")
    client.set_registered_model_alias(f"{name}'s", "champion", version)
    client.delete_model_version(f"{name}'s", version)
    client.delete_registered_model(f"{name}'s")


def test_every_write_of_the_registry_is_checked_or_known_to_move_no_alias() -> None:
    methods = {name for name, _ in inspect.getmembers(AbstractStore, inspect.isfunction) if not name.startswith("_")}
    reads = {name for name in methods if name.startswith(("get_", "list_", "search_", "supports_"))}
    prompts = {name for name in methods if "prompt" in name}
    assert methods - reads - prompts == set(alias_guard.CHECKED) | CANNOT_MOVE_AN_ALIAS


def test_no_path_writes_to_the_registry_that_is_not_known() -> None:
    written = {path for path, _, methods in handlers.get_endpoints() if {*methods} - {"GET"} and _is_of_registry(path)}
    reads = {"registered-models/get-latest-versions"}
    known = {f"/{api}/2.0/mlflow/{path}" for api in ("api", "ajax-api") for path in PATHS | reads}
    assert written == known


def _is_of_registry(path: str) -> bool:
    return "/registered-models/" in path or "/model-versions/" in path


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "policy.yaml"
    monkeypatch.setenv(app.POLICY, str(path))
    return path


def test_the_policy_is_that_of_params_yaml_or_of_a_file_of_its_own(named: Path) -> None:
    whole = (ROOT / "params.yaml").read_text()
    named.write_text(whole)
    found = app.policy()
    assert found.max_accuracy_drop == 0.01
    named.write_text(yaml.safe_dump(yaml.safe_load(whole)["policy"]))
    assert app.policy() == found


def test_aliases_and_baseline_are_read_beside_the_policy(named: Path) -> None:
    named.write_text((ROOT / "params.yaml").read_text())
    assert app.guarded() == Guarded((), BASELINE)
    policy = yaml.safe_load(named.read_text())["policy"]
    named.write_text(yaml.safe_dump(policy))
    assert app.guarded() == Guarded()
    named.write_text(yaml.safe_dump({"policy": policy, "registry": {"guarded_aliases": ["production"]}}))
    assert app.guarded() == Guarded(("production",))
    named.write_text(yaml.safe_dump({"policy": policy, "registry": {"guarded_aliases": ["Champion"]}}))
    with pytest.raises(
        ParamsError, match=r"whose registry cannot be used: guarded_aliases\.0: Input should be lowercase letters"
    ):
        app.guarded()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        ("", "holds no policy"),
        ("policy: [", "is not YAML"),
        ("policy: {max_accuracy_drop: 2}", "holds no policy: max_accuracy_drop: "),
        ("max_accuracy_dorp: 0.01", "Unknown key 'max_accuracy_dorp'. Did you mean 'max_accuracy_drop'?"),
    ],
)
def test_a_policy_that_cannot_be_read_gets_a_sentence(named: Path, content: str | None, sentence: str) -> None:
    if content is not None:
        named.write_text(content)
    with pytest.raises(ParamsError, match=sentence):
        app.policy()


@pytest.mark.slow
def test_without_a_policy_the_server_does_not_start(tmp_path: Path, empty_store: Path) -> None:
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "octavo", "--workers", "2", "--port", "0"]
    command += ["--backend-store-uri", f"sqlite:///{empty_store}"]
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    with subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path, start_new_session=True) as server:
        try:
            stderr = server.communicate(timeout=240)[1].decode()
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            raise
    assert "octavo: OCTAVO_POLICY is not set. Set it to the path of a params.yaml" in stderr
    assert "Traceback" not in stderr
