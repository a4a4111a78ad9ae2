"""A night promotes what is surer than a promotion by hand has to be, in an order that no test image has seen."""

import json

import numpy as np
import pytest
import yaml

from octavo.data import prepare
from octavo.data.partition import Partition
from octavo.data.splits import Split, load_split
from octavo.project import paths
from octavo.project.params.data import Data
from octavo.project.params.params import PARAMS, load_params
from octavo.promotion import lifetime
from octavo.promotion.evidence import Grounds
from octavo.statistics.noninferiority import lower_bound
from octavo_mlflow.nightly import record, worker
from octavo_mlflow.nightly.record import Night
from octavo_mlflow.nightly.worker import Diary
from octavo_mlflow.registry import standing
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.server.promotion_check import objections
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import CLASSES, WEIGHTS, MakeProject, Project, worse

pytestmark = pytest.mark.slow

BASELINE, STATIC, VARIANT = "onnx_fp32", "onnx_int8_static", "litert_int8_static"
MATRIX = WEIGHTS.T


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """Not registered yet; its models are right on every selection image."""
    made = make_project(BASELINE, STATIC, VARIANT)
    write_selection(made, Split(fresh(90), (fresh(90).reshape(90, 16) @ MATRIX).argmax(1)))
    return made


def change(section: str, **values: object) -> None:
    params = yaml.safe_load(PARAMS.read_text())
    params[section] |= values
    PARAMS.write_text(yaml.safe_dump(params))


def promote_by_night(*stages: str) -> Night:
    """The last step but one of a night that ran these stages; by default one that built something."""
    diary = Diary(record.begin())
    diary.note(stages=stages or ("train",))
    return worker._promote(diary, load_params())


def champion(project: Project) -> str | None:
    client = project.client()
    number = client.get_registered_model("octavo").aliases.get("champion")
    return client.get_model_version("octavo", number).tags["variant"] if number else None


def write_selection(project: Project, selection: Split) -> None:
    for name, array in (("images", selection.images), ("labels", selection.labels)):
        paths.split("selection").mkdir(exist_ok=True)
        np.save(paths.split("selection") / f"{name}.npy", array)
    test = load_split(paths.split("test"))
    parts = dict.fromkeys(("train", "calibration", "selection"), selection) | {"test": test}
    manifest = prepare.describe(Partition(parts, {}, {}), CLASSES, Data(source="digits"))
    paths.MANIFEST.write_text(manifest.model_dump_json())
    project.scorecards = project.scorecards.model_copy(update={"data": manifest.model_dump(mode="json")})
    project.write()


def fresh(images: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(images, 4, 4)).astype(np.float32)


def test_with_too_few_images_the_night_keeps_the_champion_and_says_how_many_it_needs(
    project: Project, octavo: Octavo
) -> None:
    """Without a discordant one of 900, a drop of 1 point is excluded with 95% confidence, but not with a night's."""
    project.register()
    kept = promote_by_night()
    assert (kept.outcome, champion(project)) == ("kept", None)
    verdict, asked = kept.reasons
    drop = -100 * lower_bound(0, 0, 900, lifetime.confidences(project.scorecards, load_params())[VARIANT])
    assert (
        f"{VARIANT} is not promoted, the verdict is underpowered: the accuracy drop could be up to {drop:.4g}"
        in verdict
    )
    assert "test images would decide" in verdict
    assert f"in 365 nights is at most 0.05 (nightly.false_promotions), a night asks {VARIANT} to show with" in asked
    assert "octavo promote by hand asks for 95%" in asked
    code, _, stderr = octavo("promote")
    assert (code, champion(project)) == (0, VARIANT)
    assert "Judged once, by hand, with 95% confidence" in stderr
    change("nightly", false_promotions=None)
    assert octavo("promote", STATIC)[::2] == (0, "")
    ended = promote_by_night()
    assert (ended.outcome, champion(project)) == ("promoted", VARIANT), "switched off, a night judges as by hand"
    assert len(ended.reasons) == 1


def test_what_a_failed_night_built_is_new_to_the_next_one(project: Project) -> None:
    project.register()
    assert promote_by_night("code", "register").outcome == "unchanged"
    record.save(record.begin().model_copy(update={"stages": ("train",)}).end("failed", "MLflow is away."))
    record.save(record.begin().end("killed"))
    judged = promote_by_night("code", "register")
    assert judged.outcome == "kept"
    record.save(judged)
    assert promote_by_night("code", "register").outcome == "unchanged"


def test_what_the_night_asked_for_is_recorded_and_judged_again_by(project: Project, octavo: Octavo) -> None:
    project.register()
    change("policy", max_accuracy_drop=0.02)
    assert promote_by_night().outcome == "promoted"
    client = project.client()
    now = standing.known(client, "octavo")
    (move,) = audit_log.read(client, now)
    text = audit_log.grounds(client, now, move)
    sure = lifetime.confidences(project.scorecards, load_params())[VARIANT]
    assert json.loads(text)["sure"] == sure == 1 - 0.05 / 365 * 0.75
    drop = next(reason.value for reason in move.reasons if reason.rule == "accuracy")
    assert drop == -lower_bound(0, 0, 900, sure)
    assert octavo("replay")[0] == octavo("audit")[0] == 0
    tags = client.get_model_version("octavo", move.version).tags
    assert list(objections(move, text, tags, Grounds.model_validate_json(text).policy)) == []
    stricter = project.params.policy
    assert stricter.max_accuracy_drop == 0.01
    (objection,) = objections(move, text, tags, stricter)
    assert objection.startswith(f"the accuracy drop could be up to {100 * drop:.4g} points, limit 1 point")


def test_what_the_selection_split_speaks_against_is_not_tried_first(project: Project, octavo: Octavo) -> None:
    """The fastest passes on the test split, as by hand; on all selection images it alone is wrong."""
    change("policy", max_accuracy_drop=0.04)
    weights = worse(2)
    project.weigh(VARIANT, weights)
    images = fresh(60_000)
    flat = images.reshape(-1, 16)
    right, wrong = (flat @ MATRIX).argmax(1), (flat @ weights.T).argmax(1)
    lost = right != wrong
    write_selection(project, Split(images[lost], right[lost]))
    project.register()
    assert list(lifetime.confidences(project.scorecards, load_params())) == [STATIC, VARIANT]
    assert (promote_by_night().outcome, champion(project)) == ("promoted", STATIC)
    assert octavo("promote")[0] == 0
    assert champion(project) == VARIANT


def test_a_variant_that_fails_by_bytes_has_no_part_of_the_night(project: Project) -> None:
    both = lifetime.confidences(project.scorecards, load_params())
    size = project.scorecards.card(VARIANT).size
    project.change(VARIANT, size=size.model_copy(update={"ratio": 0.9}))
    alone = lifetime.confidences(project.scorecards, load_params())
    assert list(alone) == [STATIC]
    assert alone[STATIC] == 1 - 0.05 / 365 < both[VARIANT]


def test_selection_images_that_the_test_split_has_too_order_nothing(project: Project) -> None:
    test, new = load_split(paths.split("test")), fresh(50)
    images = np.concatenate([test.images[:70], new])
    labels = np.concatenate([(test.labels[:70] + 1) % 3, (new.reshape(50, 16) @ MATRIX).argmax(1)])
    write_selection(project, Split(images, labels))
    assert lifetime.on_selection([BASELINE, VARIANT]) == {BASELINE: 1.0, VARIANT: 1.0}
    write_selection(project, Split(test.images[:70], test.labels[:70]))
    assert lifetime.on_selection([BASELINE]) == {BASELINE: 0.0}
