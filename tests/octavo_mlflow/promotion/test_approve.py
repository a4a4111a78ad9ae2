"""A promotion that waits for approval, as those who ask and those who approve see it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from octavo_mlflow.audit import repair
from octavo_mlflow.nightly import worker
from octavo_mlflow.nightly.record import Night
from octavo_mlflow.promotion import request
from octavo_mlflow.registry import aliases, identity, standing, versions
from octavo_mlflow.registry.identity import Gate
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import WEIGHTS, Project
from tests.octavo_mlflow.team import change_policy
from tests.octavo_mlflow.team import standing as aliases_of

pytestmark = pytest.mark.slow

VARIANT = "litert_int8_static"
Become = Callable[[str], None]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Become:
    """Be another user of a server that asks for one approval: what it says of us is all that differs here."""
    return lambda user: monkeypatch.setattr(identity, "ask", lambda: Gate(approvals=1, user=user))


@pytest.fixture
def shared(registered: Project, become: Become) -> Project:
    """A registered project, looked at by Ann."""
    become("ann")
    return registered


def opened(project: Project) -> request.Request | None:
    client = project.client()
    return request.opened(client, standing.state(client, project.params.registry.model))


def test_a_request_lapses(shared: Project, become: Become, octavo: Octavo) -> None:
    model = shared.params.registry.model
    octavo("promote", VARIANT)
    stale = opened(shared)
    assert stale
    repair.repair(shared.client(), model, "somebody counted wrong")  # a move that nobody has to approve
    assert json.loads(octavo("status", "--json")[1])["request"]["lapsed"]
    become("bob")
    code, _, stderr = octavo("approve", "--yes")
    assert (code, "The request has lapsed: it would be move 1, and since then move 1 was made" in stderr) == (2, True)

    become("ann")
    octavo("promote", VARIANT)
    found = opened(shared)
    assert found
    assert found.asked.hash != stale.asked.hash
    loaded = versions.model_id(shared.client().get_model_version(model, found.asked.version))
    (shared.folder / "extra.py").write_text("print('hello')")
    shared.client().log_model_artifact(loaded, str(shared.folder / "extra.py"))
    become("bob")
    code, _, stderr = octavo("approve", "--yes")
    assert (code, "are not those that were judged" in stderr) == (2, True)
    become("ann")
    shared.client().delete_model_version(model, found.asked.version)
    become("bob")
    code, _, stderr = octavo("approve", "--yes")
    assert (code, f"lapsed: version {found.asked.version} was deleted. Nothing has moved." in stderr) == (2, True)
    assert octavo("approve", "--withdraw", "--yes")[0] == 0
    assert (opened(shared), aliases_of(shared)) == (None, {})


def registered_anew(project: Project, factor: float) -> None:
    """A further version of the same figures."""
    project.weigh(VARIANT, WEIGHTS * factor)
    project.register()


def test_what_octavo_chose_is_asked_for_once(shared: Project, become: Become, octavo: Octavo) -> None:
    first = night(shared)
    asked = opened(shared)
    assert (first.outcome, first.exit_code, first.champion) == ("requested", 0, {"before": None, "now": None})
    assert night(shared).outcome == "requested"
    assert opened(shared) == asked
    registered_anew(shared, 1.01)
    assert night(shared).outcome == "requested"
    better = opened(shared)
    assert asked
    assert better
    assert (asked.asked.version, better.asked.version) == ("2", "3")
    octavo("promote", "onnx_fp32", "--force", "--reason", "for comparison")
    chosen = opened(shared)
    become("carol")
    assert night(shared).outcome == "requested"
    assert opened(shared) == chosen


def night(project: Project) -> Night:
    """The night's last step, as `octavo nightly` takes it."""
    by_policy = project.params.nightly.model_copy(update={"false_promotions": None})  # there are few images
    params = project.params.model_copy(update={"nightly": by_policy})
    diary = worker.Diary(Night(name="2026-11-27", started=datetime.now(UTC)))
    return worker._promote(diary, params)


class Killed(BaseException):
    """What ends a process in the midst of it."""


def test_a_move_cut_short_after_the_approval_is_made(
    shared: Project, become: Become, octavo: Octavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    octavo("promote", VARIANT)
    become("bob")
    for module, name in ((aliases, "move"), (aliases, "make")):
        with monkeypatch.context() as broken:
            broken.setattr(module, name, die)
            with pytest.raises(Killed):
                octavo("approve", "--yes")
        assert aliases_of(shared) == {}
    become("ann")
    assert "approved by bob" in octavo("approve", "--yes")[1]
    assert aliases_of(shared) == {"anchor": "2", "champion": "2"}
    assert json.loads(octavo("audit", "--json")[1])["moves"][0]["approved"] == ["bob"]
    assert octavo("audit")[0] == 0


def test_several_approve(shared: Project, become: Become, octavo: Octavo) -> None:
    change_policy(approvals=2)
    octavo("promote", VARIANT)
    become("bob")
    assert "Approved: 1 of 2." in octavo("approve", "--yes")[1]
    code, _, stderr = octavo("approve", "--yes")
    assert (code, "You already approved it, bob" in stderr) == (2, True)
    become("ann")
    assert octavo("approve", "--yes")[0] == 2
    become("carol")
    done = json.loads(octavo("approve", "--yes", "--json")[1])
    assert (done["moved"], done["approved"], done["by"]) == (True, ["bob", "carol"], "ann")
    assert octavo("audit")[0] == 0
