"""The alias `champion` moves to what passes beside the baseline, the champion and the anchor, and to nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from octavo.data.sources.raw import sha256
from octavo.data.splits import digest_of, load_manifest
from octavo.project import paths
from octavo.project.params.policy import Policy
from octavo.promotion import audit_record
from octavo.promotion.decision import Verdict
from octavo.promotion.evidence import Grounds, judge
from octavo_mlflow.promotion import promote
from octavo_mlflow.registry.standing import CHAMPION
from tests.octavo_mlflow.conftest import Octavo, own_copy
from tests.octavo_mlflow.measured_project import WEIGHTS, MakeProject, Project, worse

pytestmark = pytest.mark.slow

BASELINE, VARIANT = "onnx_fp32", "litert_int8_static"


def standing(project: Project) -> dict[str, str]:
    """Alias -> variant."""
    client = project.client()
    numbers = client.get_registered_model("octavo").aliases
    return {alias: client.get_model_version("octavo", number).tags["variant"] for alias, number in numbers.items()}


def retrained(project: Project, variant: str, lost: int) -> None:
    """The variant again, on weights of its own that cost about so many images more, and registered."""
    project.weigh(variant, worse(lost))
    project.register()


def test_the_first_champion_is_the_anchor_and_the_one_before_stays_as_previous(
    make_project: MakeProject, octavo: Octavo
) -> None:
    project = make_project(BASELINE, "onnx_int8_static", VARIANT)
    project.register()
    code, stdout, _ = octavo("promote", VARIANT)
    assert (code, stdout) == (0, "champion: octavo version 3 (litert_int8_static)\n")
    assert standing(project) == dict.fromkeys(("champion", "anchor"), VARIANT)
    code, stdout, _ = octavo("promote", "onnx_int8_static", "--json")
    assert code == 0
    assert json.loads(stdout) == {
        "model": "octavo",
        "variant": "onnx_int8_static",
        "version": "2",
        "previous": "3",
        "moved": True,
    }
    assert standing(project) == {"champion": "onnx_int8_static", "previous": VARIANT, "anchor": VARIANT}
    again = octavo("promote", "onnx_int8_static")
    assert again[:2] == (0, "champion: octavo version 2 (onnx_int8_static) already\n")
    assert standing(project) == {"champion": "onnx_int8_static", "previous": VARIANT, "anchor": VARIANT}


def test_without_a_name_the_best_that_passes_is_promoted(make_project: MakeProject, octavo: Octavo) -> None:
    project = make_project(BASELINE, "onnx_fp16", "onnx_int8_static", VARIANT)
    project.weigh(VARIANT, worse(60))
    project.register()
    assert octavo("promote")[:2] == (0, "champion: octavo version 3 (onnx_int8_static)\n")


def test_a_variant_that_fails_is_refused_with_its_reasons(project: Project, octavo: Octavo) -> None:
    project.weigh(VARIANT, worse(60))
    project.register()
    for asked in ([VARIANT], []):
        code, _, stderr = octavo("promote", *asked)
        assert code == 2
        assert f"{VARIANT} is not promoted, the verdict is fail: the accuracy drop is at least" in stderr
        assert "limit 1 point" in stderr
        assert "Passing beside the baseline: none." in stderr
    assert standing(project) == {}


def test_the_baseline_has_no_verdict(registered: Project, octavo: Octavo) -> None:
    code, _, stderr = octavo("promote", BASELINE)
    assert code == 2
    assert "no verdict, as the baseline never has. Passing beside the baseline: litert_int8_static." in stderr


@pytest.mark.parametrize("force", [[], ["--force", "--reason", "the customer waits"]])
def test_a_refused_variant_is_not_promoted_even_by_force(registered: Project, octavo: Octavo, force: list[str]) -> None:
    registered.refuse(VARIANT, "It cannot be loaded.")
    code, _, stderr = octavo("promote", VARIANT, *force)
    assert code == 2
    assert stderr == f"octavo: {VARIANT} is refused and has no model. It cannot be loaded. Take another recipe.\n"
    assert standing(registered) == {}


def test_where_nothing_passes_a_refused_variant_is_told_with_its_reason(project: Project, octavo: Octavo) -> None:
    project.refuse(VARIANT, "It cannot be loaded.")
    project.register()
    code, _, stderr = octavo("promote")
    assert code == 2
    assert f"{VARIANT} is not promoted, it is refused: It cannot be loaded. Take another recipe." in stderr


def test_a_version_whose_logits_are_not_finite_is_not_promoted(registered: Project, octavo: Octavo) -> None:
    images = np.load(paths.split("test") / "images.npy")
    images[0, 0, 0] = np.nan
    np.save(paths.split("test") / "images.npy", images)
    remeasured(registered, images_sha256=sha256(images))
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 1
    assert "Version 2 of octavo gives logits that are NaN or infinite for 1 of 900 images" in stderr
    assert standing(registered) == {}


def remeasured(project: Project, **test: str) -> None:
    """A manifest of other test data, and scorecards that say so."""
    manifest = load_manifest(paths.MANIFEST)
    splits = manifest.splits | {"test": manifest.splits["test"].model_copy(update=test)}
    resplit(project, splits=splits, digest=digest_of(splits))


@pytest.mark.parametrize("what", ["images", "labels", "manifest", "classes"])
def test_nothing_is_compared_on_other_test_data_than_were_measured(
    registered: Project, octavo: Octavo, what: str
) -> None:
    """With permuted labels everything is noise, and any loss too small to be shown."""
    if what in ("images", "labels"):
        path = paths.split("test") / f"{what}.npy"
        np.save(path, np.load(path)[::-1])
    manifest = load_manifest(paths.MANIFEST)
    changes: dict[str, dict[str, Any]] = {
        "manifest": {"digest": "0" * 64},
        "classes": {"classes": manifest.classes[::-1]},
    }
    paths.MANIFEST.write_text(manifest.model_copy(update=changes.get(what)).model_dump_json())
    code, _, stderr = octavo("promote", VARIANT)
    assert (code, "Nothing is compared: " in stderr, "changed since" in stderr) == (1, True, True), stderr
    assert standing(registered) == {}


def test_small_losses_do_not_add_up(project: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each challenger passes beside the champion before it; the third is too far from the first."""
    allow(project, monkeypatch, max_accuracy_drop=0.05, max_recall_drop=0.5)
    project.register()
    assert octavo("promote", VARIANT)[0] == 0
    for lost in (20, 40):
        retrain_both(project, lost)
        code, _, stderr = octavo("promote", VARIANT)
        if lost == 20:
            assert (code, stderr.count("\n"), "Judged once, by hand" in stderr) == (0, 1, True), stderr
    assert code == 2
    assert "accuracy drop vs anchor" in stderr
    assert "vs champion" not in stderr
    assert octavo("promote", VARIANT, "--force", "--reason", "the data are another kind", "--anchor")[0] == 0
    assert len(set(project.client().get_registered_model("octavo").aliases.values())) == 2


def retrain_both(project: Project, lost: int) -> None:
    """Baseline and variant on the same weights, so that only the champion and the anchor can tell."""
    project.weigh(BASELINE, worse(lost))
    project.weigh(VARIANT, worse(lost))
    project.register()


def allow(project: Project, monkeypatch: pytest.MonkeyPatch, **limits: float) -> None:
    policy = Policy.model_validate(project.params.policy.model_dump() | limits)
    project.params = project.params.model_copy(update={"policy": policy})
    monkeypatch.setattr(promote, "load_params", lambda: project.params)


def test_force_moves_against_the_verdict_and_says_so(project: Project, octavo: Octavo) -> None:
    retrained(project, VARIANT, 60)
    assert octavo("promote", VARIANT, "--force")[0] == 1
    assert octavo("promote", "--force", "--reason", "why")[0] == 1
    assert octavo("promote", VARIANT, "--force", "--reason", "the customer waits")[0] == 0
    (move,) = audit_record.read(own_copy())
    assert move.note == "the customer waits"
    assert not all(reason.met for reason in move.reasons)
    version = project.client().get_model_version_by_alias("octavo", "champion")
    assert version.tags["promote.why"] == "the customer waits"


def resplit(project: Project, **changes: object) -> None:
    """The same images, split anew by another rule, seed or share."""
    manifest = load_manifest(paths.MANIFEST).model_copy(update=changes)
    paths.MANIFEST.write_text(manifest.model_dump_json())
    project.scorecards = project.scorecards.model_copy(update={"data": manifest.model_dump(mode="json")})
    project.write()


def test_a_champion_that_may_have_been_trained_on_test_images_is_not_compared_with(
    registered: Project, octavo: Octavo
) -> None:
    """It is worse by far, but was perhaps trained on what is tested now; the message says how to begin anew."""
    assert octavo("promote", VARIANT)[0] == 0
    registered.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    resplit(registered, split_rule=2)
    registered.register()

    code, _, stderr = octavo("promote")
    assert code == 2
    assert "not compared with the champion, which may have been trained on today's test images" in stderr
    assert "champion: its data were split by rule 1, those of today are by rule 2." in stderr
    advice = f"octavo promote {VARIANT} --force --anchor --reason"
    assert advice in stderr
    assert octavo(*advice.split()[1:], "other splits")[0] == 0
    assert len(set(registered.client().get_registered_model("octavo").aliases.values())) == 2

    registered.weigh(VARIANT, WEIGHTS * np.float32(1.02))
    registered.register()
    assert octavo("promote")[0] == 0
    assert octavo("replay", "2")[0] == 0
    assert octavo("audit")[0] == 0


def test_a_champion_without_a_record_is_not_compared_with(registered: Project, octavo: Octavo) -> None:
    registered.client().set_registered_model_alias("octavo", "champion", "1")

    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert "champion: which data it was made of is not recorded" in stderr


def test_the_registered_bytes_must_be_the_measured_ones(registered: Project, octavo: Octavo) -> None:
    (stored,) = Path("mlruns").rglob("model.tflite")
    stored.write_bytes(b"swapped")
    code, _, stderr = octavo("promote", VARIANT, "--force", "--reason", "why")
    assert code == 1
    assert "is not the model that was measured" in stderr
    assert standing(registered) == {}


def test_the_registered_bytes_must_answer_as_was_evaluated(registered: Project, octavo: Octavo) -> None:
    np.save(paths.logits(VARIANT), np.load(paths.logits(VARIANT))[::-1])
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert "same answers 0." in stderr


def test_figures_newer_than_the_registered_ones_are_not_promoted(registered: Project, octavo: Octavo) -> None:
    registered.change(VARIANT, notes=["measured again"])
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 1
    assert f"no version of octavo for {VARIANT} as measured. Run dvc repro" in stderr


def test_a_champion_that_cannot_answer_todays_images_gets_a_sentence(registered: Project, octavo: Octavo) -> None:
    assert octavo("promote", VARIANT)[0] == 0
    path = paths.split("test") / "images.npy"
    larger = np.load(path).repeat(2, 1).repeat(2, 2)
    np.save(path, larger)
    remeasured(registered, images_sha256=sha256(larger))
    retrained_on_larger = octavo("promote", VARIANT, "--anchor")
    assert retrained_on_larger[0] == 1
    assert "cannot answer today's test images of shape (8, 8)" in retrained_on_larger[2]


def test_nothing_to_promote_gets_a_sentence(project: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Unknown variant 'onnx_int3'. Measured: onnx_fp32" in octavo("promote", "onnx_int3")[2]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert octavo("promote", VARIANT)[0] == 3
    paths.SCORECARDS.unlink()
    assert octavo("promote", VARIANT)[0] == 1


def test_who_loses_the_race_is_told(registered: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The champion moves while a challenger is judged."""

    def meanwhile(found: Grounds) -> Verdict:
        monkeypatch.setattr("octavo_mlflow.promotion.promote.judge", judge)
        promote.move_champion(registered.client(), registered.params, registered.scorecards, promote.Wish(VARIANT))
        return judge(found)

    monkeypatch.setattr("octavo_mlflow.promotion.promote.judge", meanwhile)
    code, _, stderr = octavo("promote", VARIANT)
    assert code == 2
    assert (
        "while it was judged, the champion of octavo became version 2, but it was compared with version none" in stderr
    )
    assert len(audit_record.read(own_copy())) == 1


def test_a_move_cut_short_is_finished(registered: Project, octavo: Octavo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the two aliases: what was written down is made by the next command."""
    assert octavo("promote", VARIANT)[0] == 0
    registered.weigh(VARIANT, WEIGHTS * np.float32(1.01))
    registered.register()
    set_alias = MlflowClient.set_registered_model_alias

    def cut(client: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == CHAMPION:
            raise KeyboardInterrupt
        set_alias(client, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", cut)
    with pytest.raises(KeyboardInterrupt):
        promote.move_champion(registered.client(), registered.params, registered.scorecards, promote.Wish(VARIANT))
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", set_alias)
    numbers = registered.client().get_registered_model("octavo").aliases
    assert (str(numbers["champion"]), str(numbers["previous"])) == ("2", "2")

    code, stdout, _ = octavo("promote", VARIANT)
    assert (code, stdout) == (0, "champion: octavo version 3 (litert_int8_static) already\n")
    numbers = registered.client().get_registered_model("octavo").aliases
    assert (str(numbers["champion"]), str(numbers["previous"])) == ("3", "2")
    assert octavo("audit")[0] == 0


def test_nothing_is_promoted_from_a_baseline_that_answers_always_the_same_unless_forced(
    project: Project, octavo: Octavo
) -> None:
    """The variant agrees with it on every image, so it loses nothing."""
    for variant in (BASELINE, VARIANT):
        project.weigh(variant, 0 * WEIGHTS)
    project.register()
    for asked in ([VARIANT], []):
        code, _, stderr = octavo("promote", *asked)
        assert code == 2
        assert f"{VARIANT} is not promoted, the verdict is fail: baseline accuracy 0.3" in stderr
        assert "to beat the majority class" in stderr
    assert standing(project) == {}
    assert octavo("promote", VARIANT, "--force", "--reason", "a demonstration")[0] == 0
    (move,) = audit_record.read(own_copy())
    assert move.note == "a demonstration"
    assert [reason.rule for reason in move.reasons if not reason.met] == ["baseline"]
    assert octavo("replay")[0] == 0


def test_figures_that_contradict_each_other_are_not_promoted(project: Project, octavo: Octavo) -> None:
    size = project.scorecards.card(VARIANT).size
    project.change(VARIANT, size=size.model_copy(update={"ratio": 0.1}))
    project.register()
    for wish in ((), ("--force", "--reason", "it is Friday")):
        code, _, stderr = octavo("promote", VARIANT, *wish)
        assert code == 1
        assert "its figures contradict each other, size.ratio is 0.1, by its counts it is 0.5. Run dvc repro." in stderr
    assert project.client().get_registered_model("octavo").aliases == {}
