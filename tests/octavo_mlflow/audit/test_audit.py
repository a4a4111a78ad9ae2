"""What was promoted, by whom and why, cannot be changed unnoticed; and every verdict can be found again."""

import hashlib
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from octavo.project import paths
from octavo.project.errors import AuditFailed
from octavo.project.params.registry import Registry
from octavo.promotion import audit_record
from octavo_mlflow.audit import audit
from octavo_mlflow.promotion import commands, rollback
from octavo_mlflow.registry import aliases, standing, vouched
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.registry.standing import DONE, HEAD, LOG
from tests.octavo_mlflow import measured_project
from tests.octavo_mlflow.conftest import Octavo, own_copy, typed
from tests.octavo_mlflow.measured_project import WEIGHTS, KeepProject, Project, tflite_bytes, worse

pytestmark = pytest.mark.slow

VARIANT = "litert_int8_static"


@pytest.fixture(scope="module")
def history(keep_project: KeepProject) -> Project:
    """Two promotions, the second by force, and a way back."""

    def fill(project: Project) -> None:
        project.register()
        typed(commands.promote, VARIANT)
        project.weigh(VARIANT, worse(60))
        project.register()
        typed(commands.promote, VARIANT, "--force", "--reason", "try it")
        typed(commands.rollback)

    return keep_project(fill)


@pytest.fixture
def promoted(history: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project of `history` as it was."""
    monkeypatch.chdir(history.folder)
    return measured_project.brought_back(history)


def test_a_whole_log_is_said_to_be_whole(promoted: Project, octavo: Octavo) -> None:
    code, stdout, _ = octavo("audit")
    assert code == 0
    assert "3 moves of octavo: the chain is whole" in stdout
    assert [line.split()[2] for line in stdout.splitlines()[:3]] == ["promote", "promote", "rollback"]


def sql(statement: str, *values: str) -> None:
    with closing(sqlite3.connect("mlflow.db")) as database, database:
        database.execute(statement, values)


def rewrite(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def forge(promoted: Project) -> None:
    """Every record behind a changed one hashed anew, as somebody would who knows how."""
    records = sorted(Path("mlruns").rglob("records/*.json"))
    chain = [audit_record.parse(path.read_text(), "") for path in records]
    chain[1] = chain[1].model_copy(update={"who": "nobody"})
    chain[2] = chain[2].model_copy(update={"parent": chain[1].hash})
    for path, move in zip(records, chain, strict=True):
        path.write_text(move.line())
    promoted.client().set_registered_model_tag("octavo", HEAD, f"3 {chain[2].hash}")


def swap_bytes(promoted: Project) -> None:
    for path in Path("mlruns").rglob("model.tflite"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")


def move_by_hand(promoted: Project) -> None:
    promoted.client().set_registered_model_alias("octavo", "champion", "1")


TAMPERING: dict[str, tuple[Callable[[Project], object], str]] = {
    "a record in MLflow": (
        lambda _: rewrite(sorted(Path("mlruns").rglob("records/*.json"))[1], who="nobody"),
        "Record 2 of octavo in MLflow was changed or removed",
    ),
    "the last record": (
        lambda _: rewrite(sorted(Path("mlruns").rglob("records/*.json"))[2], who="nobody"),
        "Record 3 of octavo in MLflow was changed or removed",
    ),
    "all records, hashed anew": (forge, "has another record 2 than MLflow"),
    "the local copy": (
        lambda _: own_copy().write_text(own_copy().read_text().replace("try it", "tried")),
        "has another record 2 than MLflow",
    ),
    "a record removed": (
        lambda _: sorted(Path("mlruns").rglob("records/*.json"))[2].unlink(),
        "Record 3 of octavo in MLflow was changed or removed",
    ),
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


def append_to(folder: str, name: str, line: str) -> None:
    """In every version's folder."""
    found = [path for path in Path("mlruns").rglob(name) if folder in str(path)]
    assert found
    for path in found:
        path.write_text(f"{path.read_text()}{line}\n")


def another_run(promoted: Project) -> str:
    """A run of a variant."""
    return str(promoted.client().get_model_version("octavo", "1").run_id)


def delete_head(promoted: Project) -> None:
    promoted.client().delete_registered_model_tag("octavo", HEAD)


def delete_log(promoted: Project) -> None:
    client = promoted.client()
    experiment = client.get_experiment_by_name("octavo.audit")
    assert experiment
    client.delete_experiment(experiment.experiment_id)


def delete_run(promoted: Project) -> None:
    promoted.client().delete_run(promoted.client().get_registered_model("octavo").tags[LOG])


TAMPERING |= {
    "the head": (delete_head, "which vouches for its audit log, was deleted"),
    "a head that is none": (
        lambda project: project.client().set_registered_model_tag("octavo", HEAD, "seven"),
        "The tag audit.head of octavo is 'seven', which Octavo did not write",
    ),
    "the number of the last move": (
        lambda project: project.client().set_registered_model_tag("octavo", DONE, "all"),
        "The tag audit.done of octavo is 'all'",
    ),
    "the experiment of the log": (delete_log, "Record 3 of octavo in MLflow was changed or removed"),
    "the run of the log": (delete_run, "Record 3 of octavo in MLflow was changed or removed"),
    "the champion": (
        lambda project: project.client().delete_model_version("octavo", "2"),
        "version 2 or its file is gone",
    ),
}
TAMPERING |= {
    "the code beside the champion": (
        lambda _: append_to("code", "exact_sums.py", "print('hello')"),
        "files beside the model of version 2 are not those that were judged",
    ),
    "the scorecard beside the champion": (
        lambda _: append_to("", "scorecard.json", " "),
        "files beside the model of version 2 are not those that were judged",
    ),
}
TAMPERING |= {
    "a head that is an older record": (
        lambda project: project.client().set_registered_model_tag("octavo", HEAD, f"2 {chain_of(project)[1].hash}"),
        "names record 2, but by its tag audit.done move 3 was made",
    ),
    "a number that is too long for Python": (
        lambda project: project.client().set_registered_model_tag("octavo", DONE, "9" * 4500),
        "which Octavo did not write",
    ),
    "a record that is no text": (
        lambda _: sorted(Path("mlruns").rglob("records/*.json"))[2].write_bytes(b"\xff\xfe"),
        "Record 3 of octavo in MLflow was changed or removed",
    ),
    "what it was judged by, no text": (
        lambda _: max(Path("mlruns").rglob("grounds/*.json")).write_bytes(b"\xff\xfe"),
        "what record 2 was judged by was changed",
    ),
}
TAMPERING |= {
    "a head that is NULL in the database": (
        lambda _: sql("UPDATE registered_model_tags SET value = NULL WHERE key = ?", HEAD),
        "The tag audit.head of octavo is '', which Octavo did not write",
    ),
    "the digest of a version's scorecard": (
        lambda project: project.client().set_model_version_tag("octavo", "3", "octavo.digest", "0" * 64),
        "version 3 names another scorecard than was judged",
    ),
    "the digest of a version's files": (
        lambda project: project.client().set_model_version_tag("octavo", "3", "octavo.folder", "0" * 64),
        "version 3 names other files than were judged",
    ),
    "a version's variant": (
        lambda project: project.client().set_model_version_tag("octavo", "3", "variant", "../seven"),
        "The tag variant of version 3 of octavo is '../seven', which names no variant",
    ),
    "where the log is": (
        lambda project: project.client().set_registered_model_tag("octavo", LOG, another_run(project)),
        "Record 3 of octavo in MLflow was changed or removed",
    ),
}
TAMPERING |= {
    "an alias that looks like another": (
        lambda project: project.client().set_registered_model_alias("octavo", "ch\u0430mpion", "1"),
        "the alias 'ch\\u0430mpion', at version 1, is none of Octavo's and could be taken for one",
    ),
}
TAMPERING |= {
    "the logged model of a version": (
        lambda _: sql("UPDATE model_versions SET source = (SELECT source FROM model_versions WHERE version = 1)"),
        "names the logged model",
    ),
    "the champion's row": (
        lambda _: sql("DELETE FROM model_versions WHERE version = 2"),
        "version 2 or its file is gone",
    ),
}


def name_a_forged_record(promoted: Project) -> None:
    """As if a promotion of version 1 had been killed after it was written down."""
    last = chain_of(promoted)[-1]
    forged = last.model_copy(
        update={
            "sequence": 4,
            "parent": last.hash,
            "before": last.after,
            "after": {**last.after, "champion": "1"},
            "version": "1",
        }
    )
    state = standing.state(promoted.client(), "octavo")
    audit_log.append(promoted.client(), state, forged, None)


VERSIONS_ONLY = (
    "the logged model of a version",
    "an alias that looks like another",
    "what it was judged by, no text",
    "the code beside the champion",
    "the scorecard beside the champion",
    "what it was judged by",
    "the bytes",
    "a version",
    "a version's digest",
    "a version's record",
    "a version's variant",
    "the digest of a version's scorecard",
    "the digest of a version's files",
)
"""What is not a fault of the log: whether a move may be made does not depend on it, or is found as it is made."""
WITHOUT_ANCHOR = ("the champion", "the champion's row", "the bytes")
ONE_OF_EACH_KIND = (
    "the last record",
    "all records, hashed anew",
    "what it was judged by",
    "the bytes",
    "the aliases",
    "a version",
    "a version's record",
    "the head",
    "the experiment of the log",
    "the champion's row",
)
"""After these, work goes on in the everyday tests; after all others only where CI has a night's time."""


def chain_of(project: Project) -> list[audit_record.Move]:
    return audit_log.read(project.client(), standing.state(project.client(), "octavo"))


def records() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("mlruns").rglob("records/*.json")}


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_noticed_and_nothing_moves_until_it_is_repaired(
    promoted: Project, octavo: Octavo, what: str
) -> None:
    tamper, message = TAMPERING[what]
    tamper(promoted)
    before, standing = records(), dict(promoted.client().get_registered_model("octavo").aliases)
    code, _, stderr = octavo("audit")
    assert (code, message in stderr) == (2, True), stderr
    if what not in (*VERSIONS_ONLY, "the champion"):
        for command in (["promote", VARIANT, "--force", "--reason", "again"], ["rollback", "1"]):
            code, _, stderr = octavo(*command)
            assert (code, "octavo audit --repair" in stderr) == (2, True), stderr
    assert records() == before
    assert promoted.client().get_registered_model("octavo").aliases == standing

    code, stdout, stderr = octavo("audit", "--repair", "--yes", "--reason", "was seen")
    assert code == 0, stderr
    assert "Fault: " in stdout
    assert "recorded as move 4" in stdout
    assert records().items() >= before.items()
    assert octavo("audit")[0] == 0
    if what in ONE_OF_EACH_KIND or "OCTAVO_EXAMPLES" in os.environ:
        work_goes_on(promoted, octavo, *(["--anchor"] if what in WITHOUT_ANCHOR else []))


def work_goes_on(project: Project, octavo: Octavo, *options: str) -> None:
    """A new version is registered and becomes champion, and the log is whole."""
    assert octavo("status")[0] == 0
    project.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    project.register()
    code, _, stderr = octavo("promote", VARIANT, "--force", "--reason", "on we go", *options)
    assert code == 0, stderr
    assert octavo("audit")[0] == 0


def test_a_champion_that_was_forged_with_its_tag_lets_nothing_pass(promoted: Project, octavo: Octavo) -> None:
    """A poor model in the champion's place, and the tag that names its bytes: everything is better than that."""
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    client = promoted.client()
    poor = tflite_bytes(worse(400))
    folder = Path(client.get_model_version_download_uri("octavo", "2").removeprefix("file://"))
    (folder / "data/model.tflite").write_bytes(poor)
    client.set_model_version_tag("octavo", "2", "model.sha256", hashlib.sha256(poor).hexdigest())
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, "the digest of version 2 is not that of record 3" in stderr) == (2, True), stderr
    assert str(client.get_registered_model("octavo").aliases["champion"]) == "2"


def test_a_copy_that_a_killed_promotion_left_behind_is_brought_up_to_date(registered: Project, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT)[0] == 0
    whole = own_copy().read_text()
    own_copy().unlink()
    assert "already" in octavo("promote", VARIANT)[1]
    assert own_copy().read_text() == whole


def test_after_tampering_nothing_moves(promoted: Project, octavo: Octavo) -> None:
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    own_copy().write_text(own_copy().read_text().replace("try it", "tried"))
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert "has another record 2 than MLflow" in stderr


def test_another_machine_gets_the_log_from_mlflow(promoted: Project, octavo: Octavo) -> None:
    path = own_copy()
    before = path.read_text()
    path.unlink()
    assert octavo("audit")[0] == 0
    assert octavo("promote", VARIANT, "--force", "--reason", "try it again")[0] == 0
    assert path.read_text().startswith(before)
    assert len(audit_record.read(path)) == 4


def test_verdicts_are_found_again(promoted: Project, octavo: Octavo) -> None:
    code, stdout, _ = octavo("replay")
    assert code == 0
    assert "unmet: the accuracy drop is at least" in stdout
    assert "Record 2: the verdict on litert_int8_static is the same as on" in stdout
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


def test_a_reason_from_a_chat_is_refused_before_anything_moves(registered: Project, octavo: Octavo) -> None:
    for separator in ("\u2028", "\u2029", "\x85", "\n"):
        code, _, stderr = octavo("promote", VARIANT, "--force", "--reason", f"first{separator}second")
        assert (code, "An argument has a" in stderr) == (1, True)
    assert registered.client().get_registered_model("octavo").aliases == {}


def test_a_log_that_holds_such_a_reason_already_can_be_read(promoted: Project, octavo: Octavo) -> None:
    """Earlier releases wrote them."""
    client = promoted.client()
    state = standing.state(client, "octavo")
    chain = audit_log.read(client, state)
    move = chain[-1].model_copy(update={"sequence": 4, "parent": chain[-1].hash, "note": "first\u2028second"})
    move = move.model_copy(update={"before": move.after, "when": chain[-1].when})
    audit_log.append(client, state, move, None)
    aliases.make(client, state, move, lambda: None)
    own_copy().write_text(own_copy().read_text() + move.line() + "\n\n")
    assert octavo("audit")[0] == 0
    assert octavo("rollback", "1")[0] == 0
    assert octavo("audit")[0] == 0


def test_a_champion_that_somebody_deleted_is_no_deadlock(promoted: Project, octavo: Octavo) -> None:
    """The anchor went with it, and is not set anew without a word."""
    promoted.client().delete_model_version("octavo", "2")
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, "the anchor of octavo, version 2, was deleted" in stderr) == (2, True)
    code, stdout, _ = octavo("promote", VARIANT, "--anchor")
    assert (code, "version 2, champion before it, was deleted: it was not compared with that" in stdout) == (0, True)
    *_, move = audit_record.read(own_copy())
    assert (move.gone, move.before) == ({"champion": "2", "anchor": "2"}, {"previous": "3"})
    assert move.after == {"previous": "3", "champion": "4", "anchor": "4"}
    code, _, stderr = octavo("audit")
    assert (code, "version 2 or its file is gone" in stderr) == (2, True)
    assert octavo("audit", "--repair", "--yes", "--reason", "cleaned up")[0] == 0
    assert octavo("audit")[0] == 0


def test_a_hand_moved_champion_is_not_laundered(promoted: Project, octavo: Octavo) -> None:
    """Both states are told, and after a repair the log says what happened."""
    move_by_hand(promoted)
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert "the log left anchor at version 2, champion at version 2, previous at version 3" in stderr
    assert "now there is anchor at version 2, champion at version 1" in stderr
    assert octavo("audit", "--repair", "--yes", "--reason", "it was me")[0] == 0
    *_, move = audit_record.read(own_copy())
    assert (move.action, move.before["champion"], move.after["champion"]) == ("repair", "1", "2")
    assert octavo("promote", VARIANT)[0] == 0
    assert octavo("audit")[0] == 0


def test_a_repair_asks_before_it_does_anything(
    promoted: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_by_hand(promoted)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, stdout, _ = octavo("audit", "--repair")
    assert code != 0
    assert "Repair: Aliases go to where the log left them: anchor at version 2" in stdout
    assert str(promoted.client().get_registered_model("octavo").aliases["champion"]) == "1"
    assert octavo("audit", "--repair", "--yes")[0] == 1


def test_a_model_of_the_same_name_elsewhere_has_a_log_of_its_own(
    promoted: Project, octavo: Octavo, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promoted at home, then in the team's MLflow, then at home again."""
    shutil.copy(empty_store, tmp_path / "team.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/team.db")
    promoted.register()
    assert octavo("promote", VARIANT, "--force", "--reason", "the team's first")[0] == 0
    assert octavo("audit")[0] == 0
    assert len(list(paths.AUDIT_LOGS.iterdir())) == 2
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert octavo("audit")[0] == 0
    assert octavo("rollback", "3")[0] == 0


def test_a_renamed_model_keeps_its_log_and_one_registered_anew_begins_one(
    promoted: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = promoted.client()
    client.rename_registered_model("octavo", "before")
    promoted.register()
    assert octavo("promote", VARIANT, "--force", "--reason", "anew")[0] == 0
    assert octavo("audit")[1].count("promote") == 1
    params = promoted.params.model_copy(update={"registry": Registry(experiment="octavo", model="before")})
    for module in (audit, rollback):
        monkeypatch.setattr(module, "load_params", lambda: params)
    assert "3 moves of before: the chain is whole" in octavo("audit")[1]
    assert octavo("rollback", "3")[0] == 0
    assert "4 moves of before: the chain is whole" in octavo("audit")[1]


def test_a_copy_of_an_earlier_release_is_taken_over_and_one_of_another_log_is_not(
    promoted: Project, octavo: Octavo
) -> None:
    old = own_copy().rename(paths.audit_log("octavo"))
    assert octavo("audit")[0] == 0
    old.write_text(old.read_text().replace("octavo", "other"))
    code, _, stderr = octavo("rollback", "1")
    assert (code, "is the copy of another audit log" in stderr) == (2, True)
    assert octavo("audit", "--repair", "--yes", "--reason", "it was the other server's")[0] == 0
    assert octavo("rollback", "1")[0] == 0


@pytest.mark.parametrize("place", ["runs SET artifact_uri", "model_versions SET storage_location"])
def test_a_place_that_mlflow_cannot_read_from_is_told(promoted: Project, octavo: Octavo, place: str) -> None:
    sql(f"UPDATE {place} = 'http://127.0.0.1:9/x'")
    before = dict(promoted.client().get_registered_model("octavo").aliases)
    for command in ("audit", "rollback"):
        code, _, stderr = octavo(command, *(["1"] if command == "rollback" else []))
        assert code in (1, 2)
        assert "MLflow can make nothing of the place where" in stderr
    assert promoted.client().get_registered_model("octavo").aliases == before


def test_a_record_that_somebody_forged_is_not_taken_for_one_that_was_cut_short(
    promoted: Project, octavo: Octavo
) -> None:
    stands = dict(promoted.client().get_registered_model("octavo").aliases)
    name_a_forged_record(promoted)
    for command in (["promote", VARIANT, "--force", "--reason", "why"], ["rollback", "3"], ["audit"]):
        code, _, stderr = octavo(*command)
        assert (code, "its record is of another model than version 1" in stderr) == (2, True), stderr
        assert promoted.client().get_registered_model("octavo").aliases == stands
    assert octavo("audit", "--repair", "--yes", "--reason", "was seen")[0] == 0
    assert promoted.client().get_registered_model("octavo").aliases == stands
    assert octavo("audit")[0] == 0


def test_a_clock_that_ran_ahead_is_accepted_once_for_all(
    promoted: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    ahead = lease.now() + timedelta(days=10)
    with monkeypatch.context() as clock:
        clock.setattr(lease, "now", lambda: ahead)
        assert octavo("promote", VARIANT)[0] == 0
    assert octavo("audit")[0] == 2
    assert octavo("audit", "--repair", "--yes", "--reason", "the clock was wrong")[0] == 0
    assert octavo("rollback")[0] == 0
    assert octavo("audit")[0] == 0


def test_a_record_that_nothing_names_is_not_taken_up_by_a_repair(promoted: Project, octavo: Octavo) -> None:
    *_, last = chain_of(promoted)
    forged = last.model_copy(
        update={"sequence": 4, "parent": last.hash, "before": last.after, "after": {**last.after, "champion": "1"}}
    )
    path = min(Path("mlruns").rglob("records/*.json")).with_name(f"000004-{forged.hash}.json")
    path.write_text(forged.line())
    delete_head(promoted)
    assert octavo("audit", "--repair", "--yes", "--reason", "was seen")[0] == 0
    assert str(promoted.client().get_registered_model("octavo").aliases["champion"]) == "2"


def test_a_repair_says_for_ever_what_it_found(promoted: Project, octavo: Octavo) -> None:
    """A copy that said something else, and records that were lost."""
    own_copy().write_text(own_copy().read_text().replace("try it", "tried"))
    assert octavo("audit", "--repair", "--yes", "--reason", "was seen")[0] == 0
    assert "has another record 2 than MLflow" in octavo("audit")[1]
    own_copy().unlink()
    for path in sorted(Path("mlruns").rglob("records/*.json"))[1:]:
        path.unlink()
    assert octavo("audit", "--repair", "--yes", "--reason", "was seen")[0] == 0
    assert "what was found, records 1 to 1, was put back" in octavo("audit")[1]


def test_a_copy_of_another_moment_is_read_and_set_aside_too(promoted: Project, octavo: Octavo) -> None:
    """As after a move to another MLflow, which says that the model was registered then."""
    moved = own_copy().rename(own_copy().with_name("octavo.999.jsonl"))
    for path in sorted(Path("mlruns").rglob("records/*.json"))[1:]:
        path.unlink()
    assert octavo("audit", "--repair", "--yes", "--reason", "was seen")[0] == 0
    assert len(chain_of(promoted)) == 4
    text = moved.read_text().replace("try it", "tried")
    moved.write_text(text)
    assert octavo("audit", "--repair", "--yes", "--reason", "was seen")[0] == 0
    assert moved.with_name(f"{moved.name}.aside1").read_text() == text


def cut_short(promoted: Project) -> None:
    """A promotion to version 4 that is written down and not made."""
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    client = promoted.client()
    now, (*_, last) = standing.state(client, "octavo"), chain_of(promoted)
    after = {**last.after, "champion": "4", "previous": "2"}
    tags, grounds = client.get_model_version("octavo", "4").tags, "{}"
    digests = {"model": tags["model.sha256"], "grounds": hashlib.sha256(grounds.encode()).hexdigest()}
    move = last.model_copy(
        update={"action": "promote", "sequence": 4, "parent": last.hash, "version": "4", "before": last.after}
        | {"after": after, "note": "cut short", "digests": digests}
    )
    audit_log.append(client, now, move, grounds)


def test_a_repair_finishes_a_move_that_was_cut_short(promoted: Project, octavo: Octavo) -> None:
    cut_short(promoted)
    code, _, stderr = octavo("audit", "--repair", "--yes", "--reason", "was killed")
    assert code == 0, stderr
    version = promoted.client().get_model_version_by_alias("octavo", "champion")
    assert (str(version.version), version.tags["promote.why"]) == ("4", "cut short")


def test_a_move_that_was_cut_short_and_whose_version_was_deleted_moves_nothing(
    promoted: Project, octavo: Octavo
) -> None:
    """The champion stays the one in service."""
    cut_short(promoted)
    client = promoted.client()
    before = dict(client.get_registered_model("octavo").aliases)
    client.delete_model_version("octavo", "4")
    code, _, stderr = octavo("rollback", "3")
    assert (code, "a version was deleted that it sets an alias to: champion at version 4" in stderr) == (2, True)
    assert client.get_registered_model("octavo").aliases == before
    code, _, stderr = octavo("audit", "--repair", "--yes", "--reason", "was killed")
    assert code == 0, stderr
    assert client.get_registered_model("octavo").aliases == before
    assert octavo("rollback", "3")[0] == 0


def test_a_copy_that_cannot_be_written_stops_a_move_before_it_begins(registered: Project, octavo: Octavo) -> None:
    paths.AUDIT_LOGS.parent.mkdir(exist_ok=True)
    paths.AUDIT_LOGS.write_text("no folder")
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, "Nothing has moved: " in stderr) == (1, True)
    assert registered.client().get_registered_model("octavo").aliases == {}
    assert HEAD not in registered.client().get_registered_model("octavo").tags


def test_commands_make_no_database(octavo: Octavo, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where there is none, nor in the place of one that is empty."""
    for content in (None, b""):
        path = project.folder / "other.db"
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        for command in (["status"], ["audit"], ["replay"], ["promote"], ["rollback"]):
            code, _, stderr = octavo(*command)
            assert code == 1, stderr
            assert (path.read_bytes() if path.exists() else None) == content
            assert not path.with_name("other.db.broken").exists()


def test_a_record_that_writes_a_version_with_a_zero_has_a_way_out(promoted: Project, octavo: Octavo) -> None:
    """MLflow reads 03 as 3, and says 3 from then on."""
    client, (*_, last) = promoted.client(), chain_of(promoted)
    now = standing.state(client, "octavo")
    move = last.model_copy(
        update={"sequence": 4, "parent": last.hash, "version": "03", "before": last.after}
        | {"after": {**last.after, "champion": "03", "previous": "2"}}
    )
    audit_log.append(client, now, move, None)
    client.set_registered_model_alias("octavo", "champion", "03")
    client.set_registered_model_tag("octavo", DONE, "4")
    own_copy().unlink()
    assert octavo("audit")[0] == 2
    code, _, stderr = octavo("audit", "--repair", "--yes", "--reason", "typed by hand")
    assert code == 0, stderr
    assert str(client.get_registered_model("octavo").aliases["champion"]) == "3"
    assert octavo("rollback", "2")[0] == 0


def test_what_is_changed_again_after_it_was_accepted_is_noticed(promoted: Project, octavo: Octavo) -> None:
    (judged,) = Path("mlruns").rglob("grounds/000001-*.json")
    for text in ("{}", "{ }"):
        judged.write_text(text)
        assert octavo("audit")[0] == 2
        assert octavo("audit", "--repair", "--yes", "--reason", "it is known")[0] == 0
    for words in ("one", "two"):
        for card in Path("mlruns").rglob("model_card.md"):
            card.write_text(words)
        assert octavo("audit")[0] == 2
        assert octavo("audit", "--repair", "--yes", "--reason", "it is known")[0] == 0


def test_a_log_that_was_set_back_is_told_whoever_reads_it(promoted: Project, octavo: Octavo, tmp_path: Path) -> None:
    """The last record removed, its tags and aliases as they were before: MLflow alone fits together."""
    client, (*_, before, last) = promoted.client(), chain_of(promoted)
    for path in Path("mlruns").rglob(f"records/000003-{last.hash}.json"):
        path.unlink()
    client.set_registered_model_tag("octavo", HEAD, before.name)
    client.set_registered_model_tag("octavo", DONE, "2")
    for alias, version in before.after.items():
        client.set_registered_model_alias("octavo", alias, version)
    for command in (["audit"], ["replay"], ["rollback"], ["promote", VARIANT, "--force", "--reason", "why"]):
        code, _, stderr = octavo(*command)
        assert (code, "has 3 records" in stderr) == (2, True), stderr
    with pytest.raises(AuditFailed, match="it was set back"):
        vouched.promotion(client, client.get_model_version("octavo", "3"))
    own_copy().unlink()
    assert octavo("audit")[0] == 2, "version 2 says that record 3 made it champion"


def test_a_version_with_the_tags_of_another_is_not_taken_for_the_champion(promoted: Project, octavo: Octavo) -> None:
    promoted.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    promoted.register()
    client = promoted.client()
    names = ("octavo.digest", "octavo.folder", "model.sha256")
    tags = {number: client.get_model_version("octavo", number).tags for number in ("2", "4")}
    for number, other in (("2", "4"), ("4", "2")):
        for name in names:
            client.set_model_version_tag("octavo", number, name, tags[other][name])
    code, stdout, stderr = octavo("promote", VARIANT)
    assert (code, stdout) == (1, ""), stderr
    assert octavo("audit")[0] == 2
