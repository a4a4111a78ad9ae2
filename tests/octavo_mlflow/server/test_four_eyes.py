"""Where a policy asks for approvals, nobody makes a champion alone: whatever they send, whoever they are."""

import json
import os
from typing import Any

import pytest
import requests

from octavo.promotion.audit_record import Move
from octavo_mlflow.promotion.request import Request
from octavo_mlflow.promotion.request import opened as opened_in
from octavo_mlflow.registry import consent, standing
from octavo_mlflow.registry.aliases import RECORD
from octavo_mlflow.registry.audit_log import audit_log, audit_run
from octavo_mlflow.registry.standing import APPROVED, HEAD, LOG, REQUEST
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import Project, worse
from tests.octavo_mlflow.team import Team, as_owner, change_policy, password, share, tag
from tests.octavo_mlflow.team import standing as aliases_of

pytestmark = pytest.mark.slow
VARIANT = "litert_int8_static"


@pytest.fixture
def shared(project: Project, careful_team: Team) -> Project:
    """A project that its own user, Ann, registered at the server that asks for an approval."""
    as_owner(project, careful_team)
    return project


@pytest.fixture
def colleague(shared: Project, careful_team: Team) -> str:
    """Another user, who may promote."""
    return editor(shared, careful_team)


def editor(project: Project, team: Team, permission: str = "EDIT") -> str:
    """A new user with that permission on the model and its audit log."""
    user, model = team.add(), project.params.registry.model
    team.grant(user, permission, model, f"{model}.audit")
    return user


def me() -> str:
    return os.environ["MLFLOW_TRACKING_USERNAME"]


def opened(project: Project) -> Request | None:
    client = project.client()
    return opened_in(client, standing.state(client, project.params.registry.model))


def sent(team: Team, user: str, path: str, method: str = "POST", **content: str) -> tuple[int, str]:
    """The status of a raw request by that user, and what the server says."""
    address = f"{team.address}/api/2.0/mlflow/{path}"
    answer = requests.request(method, address, json=content, auth=(user, password(user)), timeout=60)
    return answer.status_code, answer.text


def test_one_asks_and_another_approves(shared: Project, colleague: str, careful_team: Team, octavo: Octavo) -> None:
    ann = me()
    code, stdout, stderr = octavo("promote", VARIANT)
    assert (code, "Judged once, by hand" in stderr) == (0, True)
    assert stdout.startswith(f"{ann} asks to make version 2 of ")
    assert stdout.endswith("Nothing has moved. For another person to approve it: octavo approve\n")
    assert (aliases_of(shared), tag(shared)) == ({}, None)
    asked = json.loads(octavo("promote", VARIANT, "--json")[1])
    assert (asked["moved"], asked["requested"]["by"], asked["requested"]["approved"]) == (False, ann, [])
    assert f"Asked for: {ann} asks to make version 2" in octavo("status")[1]
    code, stdout, stderr = octavo("approve", "--yes")
    assert (code, stdout, "somebody else has to approve it" in stderr) == (2, "", True)

    careful_team.become(colleague)
    assert octavo("approve", "3", "--yes")[0] == 1
    code, stdout, stderr = octavo("approve", "--yes")
    assert (code, stderr) == (0, "")
    assert "\nmet: " in stdout
    assert stdout.endswith(f"({VARIANT}); asked for by {ann}, approved by {colleague}\n")
    assert aliases_of(shared) == {"anchor": "2", "champion": "2"}
    assert opened(shared) is None
    (move,) = json.loads(octavo("audit", "--json")[1])["moves"]
    assert (move["who"], move["approved"]) == (ann, [colleague])
    assert f"{ann}, approved by {colleague}\n" in octavo("audit")[1]
    assert json.loads(octavo("status", "--json")[1])["last"]["approved"] == [colleague]
    code, _, stderr = octavo("approve", "--yes")
    assert (code, "Nobody asks for a promotion" in stderr) == (1, True)


def test_over_postgresql_a_projects_own_policy_asks_for_more(project: Project, team: Team, octavo: Octavo) -> None:
    as_owner(project, team)
    change_policy(approvals=1)
    assert octavo("promote", VARIANT)[0] == 0
    found = opened(project)
    assert found
    own = consent.tag(found.asked.hash, (me(),))
    assert set_tag(team, me(), project, APPROVED, own)[0] == 403
    colleague = editor(project, team)
    team.become(colleague)
    assert octavo("approve", "--yes")[0] == 0
    assert aliases_of(project) == {"anchor": "2", "champion": "2"}
    assert json.loads(octavo("audit", "--json")[1])["moves"][0]["approved"] == [colleague]


def forged(asked: Move, **fields: Any) -> Move:
    """Another record of the same kind."""
    return asked.model_copy(update=fields)


def put(project: Project, folder: str, move: Move) -> str:
    """Put a record into the audit log's run, as whoever may edit that can; its name, as tags have it."""
    client, now = project.client(), standing.state(project.client(), project.params.registry.model)
    client.log_text(now.tags[LOG], move.line(), audit_run.place(folder, move))
    return move.name


def set_tag(team: Team, user: str, project: Project, key: str, value: str) -> tuple[int, str]:
    return sent(team, user, "registered-models/set-tag", name=project.params.registry.model, key=key, value=value)


def test_nobody_approves_alone(shared: Project, colleague: str, careful_team: Team, octavo: Octavo) -> None:
    ann, model = me(), shared.params.registry.model
    octavo("promote", VARIANT)
    found = opened(shared)
    assert found
    asked = found.asked
    other = {
        "who": forged(asked, who=colleague),
        "version": forged(asked, version="1", after={"anchor": "1", "champion": "1"}),
        "digest": forged(asked, digests=asked.digests | {"model": 64 * "0"}),
        "approved": forged(asked, approved=(colleague,), request=asked.hash),
    }
    names = {name: put(shared, audit_run.REQUESTS, move) for name, move in other.items()}
    alone = put(shared, audit_run.RECORDS, asked)
    claimed = put(shared, audit_run.RECORDS, consent.granted(asked, (colleague,), asked.when))
    own = put(shared, audit_run.RECORDS, consent.granted(asked, (ann,), asked.when))
    none = put(shared, audit_run.RECORDS, consent.granted(asked, (), asked.when))
    forced = put(shared, audit_run.RECORDS, forged(asked, note="it is Friday"))
    as_rollback = put(shared, audit_run.RECORDS, forged(asked, action="rollback", note="back", reasons=()))
    as_repair = put(shared, audit_run.RECORDS, forged(asked, action="repair", note="mended", reasons=()))
    tries = [
        (APPROVED, consent.tag(asked.hash, (ann,))),
        (APPROVED, consent.tag(asked.hash, (colleague,))),
        (APPROVED, consent.tag(asked.hash, (colleague, ann))),
        (APPROVED, "yes"),
        *((REQUEST, name) for name in names.values()),
        (REQUEST, "1"),
        *((HEAD, name) for name in (alone, claimed, own, none, forced, as_rollback, as_repair)),
        ("Audit.Approved", consent.tag(asked.hash, (colleague,))),
        (f"{APPROVED} ", consent.tag(asked.hash, (colleague,))),
    ]
    for user in (ann, "admin"):  # who manages the model, and who manages the server
        for key, value in tries:
            if user == "admin" and key == APPROVED:
                continue
            status, said = set_tag(careful_team, user, shared, key, value)
            assert status in (400, 403), (user, key, value, said)
    for version in ("1", "2"):
        alias = {"name": model, "alias": "champion", "version": version}
        assert sent(careful_team, ann, "registered-models/alias", **alias)[0] == 403
    tags = {"key": APPROVED, "value": consent.tag(asked.hash, (colleague,))}
    born = requests.post(
        f"{careful_team.address}/api/2.0/mlflow/registered-models/create",
        json={"name": f"{model}-2", "tags": [tags]},
        auth=(ann, password(ann)),
        timeout=60,
    )
    assert born.status_code == 403
    assert opened(shared) == found
    assert (aliases_of(shared), tag(shared)) == ({}, None)
    assert set_tag(careful_team, colleague, shared, APPROVED, consent.tag(asked.hash, ("somebody",)))[0] == 403
    assert set_tag(careful_team, colleague, shared, APPROVED, consent.tag(64 * "0", (colleague,)))[0] == 403
    assert set_tag(careful_team, colleague, shared, APPROVED, consent.tag(asked.hash, (colleague,)))[0] == 200
    assert set_tag(careful_team, ann, shared, REQUEST, names["version"])[0] == 403
    for name in (alone, own, none, forced):
        assert set_tag(careful_team, ann, shared, HEAD, name)[0] == 403
    assert set_tag(careful_team, ann, shared, HEAD, claimed)[0] == 200  # now it is true
    assert octavo("audit")[0] == 2  # written down, but not made
    assert octavo("approve", "--yes")[0] == 0
    assert aliases_of(shared) == {"anchor": "2", "champion": "2"}


@pytest.mark.thorough
def test_a_former_champion_is_not_made_up(shared: Project, colleague: str, careful_team: Team, octavo: Octavo) -> None:
    ann, model = me(), shared.params.registry.model
    octavo("promote", VARIANT)
    careful_team.become(colleague)
    octavo("approve", "--yes")
    now = standing.state(shared.client(), model)
    (first,) = audit_log.read(shared.client(), now)
    never = shared.client().get_model_version(model, "1").tags
    digests = {"model": never["model.sha256"]}
    plain = forged(first, request="", approved=())
    made_up = forged(plain, version="1", variant="onnx_fp32", after={"champion": "1"}, digests=digests)
    put(shared, audit_run.RECORDS, made_up)
    asked = {"name": model, "version": "1", "key": RECORD, "value": made_up.name}
    status, said = sent(careful_team, colleague, "model-versions/set-tag", **asked)
    assert (status, "by the audit log that is not so" in said) == (403, True)
    back = forged(
        made_up,
        sequence=2,
        parent=first.hash,
        action="rollback",
        note="back",
        reasons=(),
        before=now.aliases,
        after={"anchor": "2", "champion": "1", "previous": "2"},
    )
    for user, who in ((colleague, colleague), (ann, ann), ("admin", "admin")):
        name = put(shared, audit_run.RECORDS, forged(back, who=who))
        status, said = set_tag(careful_team, user, shared, HEAD, name)
        assert (status, "was never champion" in said) == (403, True)
        mended = forged(back, who=who, action="repair")
        status, said = set_tag(careful_team, user, shared, HEAD, put(shared, audit_run.RECORDS, mended))
        assert (status, "A repair returns the champion" in said) == (403, True)
    assert aliases_of(shared) == {"anchor": "2", "champion": "2"}


@pytest.mark.thorough
def test_who_may_not_edit_approves_nothing(shared: Project, careful_team: Team, octavo: Octavo) -> None:
    model = shared.params.registry.model
    octavo("promote", VARIANT)
    reader, half = careful_team.add(), careful_team.add()
    careful_team.grant(half, "EDIT", model)
    for user in (reader, half):
        careful_team.become(user)
        code, _, stderr = octavo("approve", "--yes")
        assert (code, f"does not let {user} do this" in stderr) == (2, True)
        found = opened(shared)
        assert found
        assert found.approved == ()
    assert (aliases_of(shared), tag(shared)) == ({}, None)


@pytest.mark.thorough
def test_a_move_against_the_verdict_needs_approval_too(shared: Project, careful_team: Team, octavo: Octavo) -> None:
    ann, manager, colleague = me(), editor(shared, careful_team, "MANAGE"), editor(shared, careful_team)
    octavo("promote", VARIANT)
    careful_team.become(colleague)
    octavo("approve", "--yes")
    careful_team.become(ann)
    shared.weigh(VARIANT, worse(60))
    shared.register()
    assert octavo("promote", VARIANT)[0] == 2
    assert octavo("promote", VARIANT, "--force", "--reason", "the cameras changed")[0] == 0
    assert aliases_of(shared)["champion"] == "2"
    careful_team.become(colleague)
    code, stdout, stderr = octavo("approve", "--yes")
    assert (code, "Those who manage the model may force it." in stderr) == (2, True)
    assert "against the verdict: the cameras changed" in stdout
    assert "\nunmet: " in stdout
    careful_team.become(manager)
    assert octavo("approve", "--yes")[0] == 0
    assert aliases_of(shared) == {"anchor": "2", "previous": "2", "champion": "3"}
    careful_team.become(colleague)
    code, _, stderr = octavo("rollback", "1", "--reason", "to the baseline")
    assert (code, "was never champion, and here a promotion needs approvals" in stderr) == (2, True)
    assert octavo("rollback")[0] == 0
    assert aliases_of(shared) == {"anchor": "2", "previous": "3", "champion": "2"}
    assert octavo("audit")[0] == 0


def test_a_record_is_in_the_name_of_who_wrote_it(project: Project, team: Team, octavo: Octavo) -> None:
    as_owner(project, team)
    assert octavo("promote", VARIANT)[0] == 0
    (first,) = audit_log.read(project.client(), standing.state(project.client(), project.params.registry.model))
    assert first.who == me()
    other = forged(first, sequence=2, parent=first.hash, action="repair", note="mended", before=first.after)
    status, said = set_tag(team, me(), project, HEAD, put(project, audit_run.RECORDS, forged(other, who="somebody")))
    assert (status, "says that 'somebody' made it" in said) == (403, True)
    assert set_tag(team, me(), project, HEAD, put(project, audit_run.RECORDS, forged(other, who=me())))[0] == 200


@pytest.mark.parametrize("server", ["gated_server", "server_sqlite", None])
def test_where_nobody_is_known_nothing_is_promoted(
    project: Project, request: pytest.FixtureRequest, octavo: Octavo, server: str | None
) -> None:
    if server:
        share(project, request.getfixturevalue(server))
    project.register()
    change_policy(approvals=1)
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, "has no user accounts" in stderr, stderr.count("\n")) == (2, True, 1)
    change_policy(approvals=0)
    assert octavo("promote", VARIANT)[0] == 0
