"""What a promoter could make up on a server with the gate: figures, files, records, copies. Nothing of it gets in."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo.evaluation.scorecard import Scorecard
from octavo.promotion.audit_record import Move
from octavo_mlflow.promotion import promote
from octavo_mlflow.registry import aliases, versions
from octavo_mlflow.registry import standing as state
from octavo_mlflow.registry.audit_log import audit_log, audit_run
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import Project, worse
from tests.octavo_mlflow.server.test_app import loose
from tests.octavo_mlflow.team import change_policy, share, standing, tag

pytestmark = pytest.mark.slow
BASELINE, VARIANT = "onnx_fp32", "litert_int8_static"


@pytest.fixture
def shared(project: Project, gated_server: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of somebody whose client does not look for contradictions; nothing is registered yet."""
    share(project, gated_server)
    monkeypatch.setattr(promote, "_check_figures", lambda _: None)
    return project


def with_size(card: Scorecard, file_bytes: int, whole: int) -> dict[str, Any]:
    return {"size": card.size.model_copy(update={"file_bytes": file_bytes, "ratio": file_bytes / whole})}


def smaller(project: Project) -> None:
    """The file is said to be a tenth of what it is, in all figures alike."""
    card = project.scorecards.card(VARIANT)
    project.change(VARIANT, **with_size(card, 67, project.scorecards.card(BASELINE).size.file_bytes))


def larger_baseline(project: Project) -> None:
    """The baseline's file is said to be ten times what it is, in all figures alike."""
    card = project.scorecards.card(VARIANT)
    project.change(BASELINE, **with_size(project.scorecards.card(BASELINE), 13520, 13520))
    project.change(VARIANT, **with_size(card, card.size.file_bytes, 13520))


def another_ratio(project: Project) -> None:
    card = project.scorecards.card(VARIANT)
    project.change(VARIANT, size=card.size.model_copy(update={"ratio": 0.1}))


def nothing_lost(project: Project) -> None:
    """It lost sixty images, and is said to have lost none of them."""
    project.weigh(VARIANT, worse(60))
    quality = project.scorecards.card(VARIANT).quality
    beside = quality.vs_baseline.model_copy(
        update={
            "delta": 0.0,
            "broke": 0,
            "fixed": 0,
            "per_class": {name: (0, 0, n) for name, (_, _, n) in quality.vs_baseline.per_class.items()},
        }
    )
    project.change(VARIANT, quality=quality.model_copy(update={"vs_baseline": beside}))


def another_baseline(project: Project) -> None:
    """It is held to itself under another name."""
    change_policy(max_size_ratio=5.0)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace(f"baseline: {BASELINE}", f"baseline: {VARIANT}"))
    for variant in (BASELINE, VARIANT):
        card = project.scorecards.card(variant)
        project.change(variant, **with_size(card, card.size.file_bytes, 676))


@pytest.mark.parametrize(
    ("forge", "variant", "clause"),
    [
        (smaller, VARIANT, "the model file has 676 bytes, by its scorecard 67"),
        (larger_baseline, VARIANT, "of its baseline the model file has 1,352 bytes, by its scorecard 13,520"),
        (another_ratio, VARIANT, "size.ratio is 0.1, by its counts it is 0.5"),
        (nothing_lost, VARIANT, "contradict each other: "),
        (another_baseline, BASELINE, "this server's baseline is onnx_fp32"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_figures_that_are_made_up_are_not_promoted(
    forge: Callable[[Project], None], variant: str, clause: str, shared: Project, octavo: Octavo
) -> None:
    forge(shared)
    shared.register()
    for wish in ((), ("--force", "--reason", "it is Friday")):
        code, _, stderr = octavo("promote", variant, *wish)
        assert (code, clause in stderr, stderr.count("\n")) == (2, True, 1), stderr
        assert "nobody can force it" in stderr
    assert (standing(shared), tag(shared)) == ({}, None)


def record(client: MlflowClient, model: str, move: Move) -> None:
    """Put a record beside the log, as everybody can who may write there."""
    now = state.state(client, model)
    run = audit_run.run_id(client, now)
    assert run is not None
    client.log_text(run, move.line(), audit_run.place(audit_run.RECORDS, move))


def test_files_and_records_that_are_made_up_are_not_promoted(shared: Project, octavo: Octavo) -> None:
    shared.register()
    model, client = shared.params.registry.model, shared.client()
    assert octavo("promote", VARIANT)[0] == 0
    before = standing(shared)
    basis = aliases.checked(client, model)
    first = basis.chain[0]
    forged = first.model_copy(update={"version": "1", "variant": BASELINE, "when": basis.next["when"]})
    record(client, model, forged)
    with pytest.raises(MlflowException, match="says what happened to it, and by the audit log that is not so"):
        client.set_model_version_tag(model, "1", aliases.RECORD, forged.name)
    folder = versions.folder_digest(client, client.get_model_version(model, "1"))
    files = {"model": shared.scorecards.card(BASELINE).model.sha256, "folder": folder}
    moves = [
        ("rollback", "1", BASELINE, files, "it was never champion"),
        ("promote", "1", VARIANT, first.digests, "sha256"),
        ("promote", "2", VARIANT, {**first.digests, "folder": "0" * 64}, "files beside the model"),
        ("promote", "2", VARIANT, {name: first.digests[name] for name in ("model", "grounds")}, "no digest of all"),
    ]
    grounds = audit_log.grounds(client, basis.now, first)
    for action, version, variant, digests, clause in moves:
        after = {**before, "champion": version, **({"previous": "2"} if version != "2" else {})}
        planned = Move(
            **basis.next,
            action=action,
            model=model,
            variant=variant,
            version=version,
            after=after,
            reasons=(),
            note="really" if action == "promote" else None,
            digests=digests,
        )
        with pytest.raises(MlflowException, match=clause):
            aliases.move(client, planned, grounds, lambda: None)
        assert standing(shared) == before
    assert octavo("audit")[0] == 0


def test_a_file_that_was_put_beside_a_model_is_not_promoted_nor_guarded(
    shared: Project, octavo: Octavo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.register()
    model, client = shared.params.registry.model, shared.client()
    added = tmp_path / "numpy.py"
    added.write_text("")
    assert octavo("promote", VARIANT)[0] == 0
    for number in ("1", "2"):
        client.log_model_artifact(versions.model_id(client.get_model_version(model, number)), str(added))
    with pytest.raises(MlflowException, match="files beside the model of version 2 are not those that the record"):
        client.set_registered_model_alias(model, "production", "2")
    code, _, stderr = octavo("promote", BASELINE, "--force", "--reason", "it is Friday")
    assert (code, "Files beside the model of version 1 of " in stderr) == (1, True)
    monkeypatch.setattr(versions, "checked_digest", versions.folder_digest)  # a client that does not look
    code, _, stderr = octavo("promote", BASELINE, "--force", "--reason", "it is Friday")
    assert (code, "files beside the model of version 1 are not those that the record names" in stderr) == (2, True)
    assert standing(shared)["champion"] == "2"


def test_a_version_is_not_copied_in_nor_made_with_a_promotion(shared: Project, octavo: Octavo) -> None:
    shared.register()
    model, client = shared.params.registry.model, shared.client()
    other = f"{model}-prod"
    assert octavo("promote", VARIANT)[0] == 0
    promoted = client.get_model_version(model, "2")
    for source in (f"models:/{model}/2", f"models:/{model}@champion", f"models:/{model}/1"):
        with pytest.raises(MlflowException, match="is not copied into"):
            client.copy_model_version(source, model)
    with pytest.raises(MlflowException, match="was never promoted: it is not made with the tag"):
        client.create_model_version(
            model, str(promoted.source), promoted.run_id, promoted.tags, model_id=versions.model_id(promoted)
        )
    for name in ("promote.by", "rollback.when", "rolled.back", aliases.RECORD):
        with pytest.raises(MlflowException, match="by the audit log that is not so"):
            client.set_model_version_tag(model, "1", name, promoted.tags.get(name, "ada"))
    with pytest.raises(MlflowException, match="by the audit log that is so"):
        client.delete_model_version_tag(model, "02", aliases.RECORD)

    client.copy_model_version(f"models:/{model}/2", other)
    client.copy_model_version(f"models:/{model}/2", other)
    sentence = f"version 1 of {other} is a copy of version 2 of {model}, and was not promoted there"
    assert sentence in json.loads(octavo("status", "--json")[1])["copies"]
    assert f"Note: {sentence}." in octavo("status")[1]
    code, stdout, _ = octavo("audit")
    assert (code, f"Note: {sentence}." in stdout) == (0, True)
    client.set_registered_model_alias(other, "champion", "1")
    client.delete_registered_model(other)


def test_a_guarded_alias_points_at_champions_alone(shared: Project, octavo: Octavo) -> None:
    shared.register()
    model, client = shared.params.registry.model, shared.client()
    for alias in ("production", "Production", "pr\u043eduction"):
        with pytest.raises(MlflowException, match="PERMISSION_DENIED"):
            client.set_registered_model_alias(model, alias, "2")
    assert octavo("promote", VARIANT)[0] == 0
    client.set_registered_model_alias(model, "production", "2")
    with pytest.raises(MlflowException, match="According to the audit log, version 1 never was"):
        client.set_registered_model_alias(model, "production", "1")
    with pytest.raises(MlflowException, match="stage Production"):
        client.transition_model_version_stage(model, "1", "Production")
    assert client.get_registered_model(model).aliases["production"] == "2"
    client.delete_registered_model_alias(model, "production")


def ways_round(client: MlflowClient, model: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Ways to have a champion by hand before the first promotion; each ends with the alias."""

    def mark_then(*steps: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            for step in steps:
                with suppress(MlflowException):
                    step()
            client.set_registered_model_alias(model, "champion", "1")

        return run

    keys = ("octavo.digest", "model.sha256", "variant")
    yield "delete tags", mark_then(*(lambda key=key: client.delete_model_version_tag(model, "1", key) for key in keys))
    yield "set tags", mark_then(*(lambda key=key: client.set_model_version_tag(model, "1", key, "") for key in keys))
    yield "describe", mark_then(lambda: client.update_model_version(model, "1", "another"))
    yield "log elsewhere", mark_then(lambda: client.set_registered_model_tag(model, state.LOG, "0" * 32))
    yield "done", mark_then(lambda: client.set_registered_model_tag(model, state.DONE, "7"))
    yield "head", mark_then(lambda: client.set_registered_model_tag(model, state.HEAD, f"1 {'0' * 64}"))
    yield "quote", mark_then(lambda: client.rename_registered_model(model, f"{model}'s"))


def test_the_gate_holds_before_the_first_promotion(shared: Project, octavo: Octavo) -> None:
    shared.register()
    model, client = shared.params.registry.model, shared.client()
    for what, way in ways_round(client, model):
        with pytest.raises(MlflowException, match="PERMISSION_DENIED"):
            way()
        assert standing(shared) == {}, what
    renamed = f"{model}-2"
    client.rename_registered_model(model, renamed)
    with pytest.raises(MlflowException, match="is moved only by octavo promote"):
        client.set_registered_model_alias(renamed, "champion", "1")
    client.rename_registered_model(renamed, model)

    stray = loose(client, model)
    for version in ("1", "2"):
        client.delete_model_version(model, version)
    client.set_registered_model_alias(model, "champion", stray)  # nothing of Octavo's is there any more
    with pytest.raises(Exception, match="as long as champion stands where no audit log put it"):
        shared.register()
    client.delete_registered_model(model)
    client.create_registered_model(model)
    stray = loose(client, model)
    client.set_registered_model_alias(model, "anchor", stray)
    with pytest.raises(MlflowException, match="as long as anchor stands"):
        client.set_model_version_tag(model, stray, "octavo.digest", "0" * 64)
    client.delete_registered_model_alias(model, "anchor")
    shared.register()
    assert octavo("promote", VARIANT)[0] == 0
