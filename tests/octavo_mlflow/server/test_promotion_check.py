"""What was recorded of a promotion warrants it, or does not, by a policy that is not the promoter's."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from octavo.project.params.policy import Policy
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo.promotion.evidence import Grounds, judge
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.server.promotion_check import objections
from tests.octavo_mlflow.measured_project import MakeProject

BASELINE, VARIANT = "onnx_fp32", "litert_int8_static"
Recorded = tuple[Move, str, dict[str, str], Policy]


@pytest.fixture
def recorded(make_project: MakeProject) -> Recorded:
    """A promotion that was held to a champion: record, grounds, tags of the version, policy."""
    project = make_project(BASELINE, "onnx_int8_static", VARIANT)
    card, policy = project.scorecards.card(VARIANT), project.params.policy
    grounds = Grounds(
        variant=VARIANT,
        baseline=BASELINE,
        policy=policy,
        scorecards=project.scorecards,
        same_answers=1.0,
        beside={"champion": card.quality.vs_baseline},
    )
    text = grounds.model_dump_json(by_alias=True, indent=1)
    move = Move(
        sequence=2,
        parent=audit_record.ORIGIN,
        when="2026-11-25T02:30:00+00:00",
        who="somebody@somewhere",
        action="promote",
        model="octavo",
        variant=VARIANT,
        version="4",
        before={"champion": "3", "anchor": "3"},
        after={"champion": "4", "previous": "3", "anchor": "3"},
        reasons=judge(grounds).reasons,
        note=None,
        digests={"model": card.model.sha256, "grounds": hashlib.sha256(text.encode()).hexdigest()},
    )
    return move, text, registry_tags.version_tags(card), policy


def rewritten(move: Move, text: str, change: Callable[[dict[str, Any]], object]) -> tuple[Move, str]:
    """Other grounds, and a record that names them."""
    grounds = json.loads(text)
    change(grounds)
    text = json.dumps(grounds)
    digests = move.digests | {"grounds": hashlib.sha256(text.encode()).hexdigest()}
    return move.model_copy(update={"digests": digests}), text


def test_what_passes_is_warranted(recorded: Recorded) -> None:
    assert list(objections(*recorded)) == []


def test_it_is_judged_by_the_policy_given(recorded: Recorded) -> None:
    move, text, tags, policy = recorded
    found = list(objections(move, text, tags, policy.model_copy(update={"max_latency_ratio": 0.5})))
    assert found == ["the latency ratio could be up to 1, limit 0.5"]
    found = list(objections(move, text, tags, policy.model_copy(update={"recall_drops": {"cat": 0.1}})))
    assert found == ["policy.recall_drops limits the class cat. Known: 0, 1, 2"]


def test_the_version_has_to_show_what_was_judged(recorded: Recorded) -> None:
    move, text, tags, policy = recorded
    for name, value in tags.items():
        if name not in ("accuracy", "model.sha256", "octavo.digest", "variant"):
            continue
        for changed in (tags | {name: f"{value}1"}, {other: tags[other] for other in tags if other != name}):
            found = list(objections(move, text, changed, policy))
            assert found == [f"version 4 shows another {name} than was judged"]


def test_the_grounds_have_to_be_those_that_the_record_names(recorded: Recorded) -> None:
    move, text, tags, policy = recorded
    assert list(objections(move, f"{text} ", tags, policy)) == ["what it was judged by is not what the record names"]


def test_the_record_and_its_grounds_have_to_be_of_one_model(recorded: Recorded) -> None:
    move, text, tags, policy = recorded
    for update in ({"variant": "onnx_int8_static"}, {"digests": move.digests | {"model": 64 * "0"}}):
        found = list(objections(move.model_copy(update=update), text, tags, policy))
        assert found == ["the record names another model"]


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (lambda grounds: grounds["beside"].clear(), "it was not compared with the champion"),
        (lambda grounds: grounds.update(same_answers=0.5), "same answers 0.5, limit 0.99"),
        (lambda grounds: grounds.update(baseline="onnx_fp64"), "Unknown variant 'onnx_fp64'. Measured: "),
        (
            lambda grounds: grounds.update(baseline=VARIANT),
            "contradict each other: the baseline's size.ratio is 0.5, by its counts it is 1",
        ),
        (lambda grounds: grounds.update(baseline=BASELINE, variant=BASELINE), "it is the baseline, which has no"),
        (lambda grounds: grounds.pop("scorecards"), "by this release of Octavo (scorecards: Field required)"),
    ],
)
def test_the_grounds_have_to_hold(recorded: Recorded, change: Callable[[dict[str, Any]], object], clause: str) -> None:
    move, text, tags, policy = recorded
    move, text = rewritten(move, text, change)
    assert clause in "; ".join(objections(move, text, tags, policy))


def test_an_anchor_beside_the_champion_is_asked_for_too(recorded: Recorded) -> None:
    move, text, tags, policy = recorded
    third = move.model_copy(update={"before": {"champion": "3", "anchor": "2"}})
    assert list(objections(third, text, tags, policy)) == ["it was not compared with the anchor"]


def test_a_champion_that_was_not_compared_with_is_an_objection(recorded: Recorded) -> None:
    move, text, tags, policy = recorded

    def leave_out(grounds: dict[str, Any]) -> None:
        grounds["not_compared"] = {"champion": "its data were split by rule 1, those of today are by rule 2"}
        del grounds["beside"]["champion"]

    found = list(objections(*rewritten(move, text, leave_out), tags, policy))
    assert found == ["not compared with the champion, which may have been trained on today's test images"]
