"""Who may do what, where MLflow asks people who they are: sentences and exit codes, and nothing half done."""

import json
import os

import pytest
from mlflow.exceptions import MlflowException

from octavo_mlflow.promotion import promote
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import Project, worse
from tests.octavo_mlflow.team import Team, as_owner, change_policy, standing, tag

pytestmark = pytest.mark.slow
VARIANT = "litert_int8_static"


@pytest.fixture
def registered(project: Project, team: Team) -> Project:
    """A project that its own user registered, who manages the model, the experiment and the audit log."""
    as_owner(project, team)
    return project


def names(project: Project) -> tuple[str, str]:
    """What a promoter writes to: the registered model, and the experiment of its audit log."""
    return project.params.registry.model, f"{project.params.registry.model}.audit"


def traces(project: Project) -> tuple[object, ...]:
    """Everything that a promotion leaves in MLflow."""
    model, client = project.params.registry.model, project.client()
    audit = client.get_experiment_by_name(f"{model}.audit")
    runs = client.search_runs([audit.experiment_id]) if audit else []
    tags = [client.get_model_version(model, str(number)).tags for number in (1, 2)]
    models = [found.name for found in client.search_registered_models(f"name LIKE '{model}%'")]
    return standing(project), tag(project), audit and audit.name, [run.data.tags for run in runs], tags, models


def test_those_who_may_edit_promote_and_roll_back(registered: Project, team: Team, octavo: Octavo) -> None:
    promoter = team.add()
    team.grant(promoter, "EDIT", *names(registered))
    team.become(promoter)
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, stderr.count("\n"), "Judged once, by hand" in stderr) == (0, 1, True), stderr
    assert standing(registered) == {"anchor": "2", "champion": "2"}
    assert octavo("audit")[0] == 0
    with pytest.raises(MlflowException, match="is moved only by octavo promote and octavo rollback"):
        registered.client().set_registered_model_alias(registered.params.registry.model, "champion", "1")


def test_those_who_may_read_do_not_promote(registered: Project, team: Team, octavo: Octavo) -> None:
    before, owner = traces(registered), os.environ["MLFLOW_TRACKING_USERNAME"]
    reader = team.add()
    team.become(reader)
    sentence = f"octavo: MLflow at {team.address} does not let {reader} do this. Ask its administrator for the "
    for command in (["promote", VARIANT], ["promote"], ["promote", VARIANT, "--force", "--reason", "it is Friday"]):
        code, stdout, stderr = octavo(*command)
        assert (code, stdout) == (2, "")
        assert stderr == f"{sentence}permissions in docs/team.md.\n"
        assert traces(registered) == before
    assert octavo("status")[0] == 0
    team.become(owner)
    assert octavo("promote", VARIANT)[0] == 0


def test_half_of_the_permissions_leave_nothing_half_done(registered: Project, team: Team, octavo: Octavo) -> None:
    before = traces(registered)
    for part in names(registered):
        user = team.add()
        team.grant(user, "EDIT", part)
        team.become(user)
        code, _, stderr = octavo("promote", VARIANT)
        assert (code, f"does not let {user} do this" in stderr) == (2, True)
        assert standing(registered) == {}
        assert tag(registered) is None
        assert not json.loads(octavo("status", "--json")[1])["unfinished"]
    assert traces(registered)[0] == before[0]


def test_those_who_may_not_even_read_get_a_sentence(registered: Project, team: Team, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT)[0] == 0
    stranger = team.add()
    team.grant(stranger, "DENY", *names(registered))
    team.become(stranger)
    for command in ("status", "audit", "replay", "promote", "rollback"):
        code, stdout, stderr = octavo(command)
        assert (code, stdout, stderr.count("\n")) == (2, "", 1)
        assert f"does not let {stranger} do this" in stderr


def test_a_wrong_password_gets_a_sentence(registered: Project, team: Team, octavo: Octavo) -> None:
    os.environ |= {"MLFLOW_TRACKING_PASSWORD": "swordfish"}
    for command in ("status", "promote"):
        code, stdout, stderr = octavo(command)
        assert (code, stdout, stderr.count("\n")) == (2, "", 1)
        assert f"MLflow at {team.address} does not know this user and password. Set MLFLOW_TRACKING_USERNAME" in stderr
        assert "swordfish" not in stderr


def test_only_those_who_manage_the_model_force(registered: Project, team: Team, octavo: Octavo) -> None:
    owner, promoter = os.environ["MLFLOW_TRACKING_USERNAME"], team.add()
    team.grant(promoter, "EDIT", *names(registered))
    team.become(promoter)
    assert octavo("promote", VARIANT)[0] == 0
    registered.weigh(VARIANT, worse(60))
    registered.register()
    before = standing(registered)
    forced = ["promote", VARIANT, "--force", "--reason", "the cameras changed"]
    code, _, stderr = octavo(*forced)
    assert (code, "Those who manage the model may force it." in stderr) == (2, True)
    change_policy(max_accuracy_drop=0.5, max_recall_drop=0.9)
    assert octavo("promote", VARIANT)[0] == 2
    assert standing(registered) == before
    team.become(owner)
    assert octavo(*forced)[0] == 0
    assert standing(registered) == {"anchor": "2", "previous": "2", "champion": "3"}
    team.become(promoter)
    assert octavo("rollback")[0] == 0
    code, _, stderr = octavo("rollback", "1")
    assert (code, "it was never champion" in stderr) == (2, True)
    team.become(owner)
    assert octavo("rollback", "1", "--reason", "back to float")[0] == 0
    assert octavo("audit")[0] == 0


def test_those_who_promote_make_nothing_up(
    registered: Project, team: Team, octavo: Octavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, promoter = os.environ["MLFLOW_TRACKING_USERNAME"], team.add()
    team.grant(promoter, "EDIT", *names(registered))
    monkeypatch.setattr(promote, "_check_figures", lambda _: None)
    size = registered.scorecards.card(VARIANT).size
    registered.change(VARIANT, size=size.model_copy(update={"file_bytes": 67, "ratio": 67 / 1352}))
    team.become(promoter)
    registered.register()
    for user in (promoter, owner):
        team.become(user)
        for wish in ((), ("--force", "--reason", "it is Friday")):
            code, _, stderr = octavo("promote", VARIANT, *wish)
            assert (code, "the model file has 676 bytes, by its scorecard 67" in stderr) == (2, True), stderr
    client, model = registered.client(), registered.params.registry.model
    with pytest.raises(MlflowException, match="is not copied into"):
        client.copy_model_version(f"models:/{model}/2", model)
    with pytest.raises(MlflowException, match="According to the audit log, version 2 never was"):
        client.set_registered_model_alias(model, "production", "2")
    assert standing(registered) == {}
