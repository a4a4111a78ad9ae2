"""Findings in words: a bound is called a bound, and what was measured is not."""

import json
from typing import Any

import pytest

from octavo.project.files import json_file
from octavo.promotion.decision import Judgement, Reason, Rule


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            Reason(
                rule=Rule.ACCURACY, value=0.0295, limit=0.01, found=Judgement.UNDERPOWERED, interval=(-0.01, 0.0295)
            ),
            "the accuracy drop could be up to 2.95 points, limit 1 point",
        ),
        (
            Reason(
                rule=Rule.ACCURACY,
                against="anchor",
                value=0.0295,
                limit=0.01,
                found=Judgement.EXCEEDED,
                interval=(0.012, 0.0295),
            ),
            "the accuracy drop vs anchor is at least 1.2 points and could be up to 2.95 points, limit 1 point",
        ),
        (
            Reason(rule=Rule.ACCURACY, value=0.02, limit=0.01, found=Judgement.EXCEEDED),
            "the accuracy drop could be up to 2 points, limit 1 point",
        ),
        (
            Reason(rule=Rule.ACCURACY, value=-0.003, limit=0.005, found=Judgement.OK, interval=(-0.01, -0.003)),
            "the accuracy gain is at least 0.3 points, limit 0.5 points",
        ),
        (
            Reason(rule=Rule.RECALL, value=0.07, limit=0.05, found=Judgement.EXCEEDED, of="dog"),
            "class dog is shown to have lost at least 7 points of recall, limit 5 points",
        ),
        (
            Reason(rule=Rule.RECALL, against="champion", value=0, limit=0.05, found=Judgement.OK, of="dog"),
            "no class is shown to have lost recall vs champion, limit 5 points",
        ),
        (
            Reason(rule=Rule.LATENCY, value=1.3, limit=1.25, found=Judgement.EXCEEDED, interval=(1.1, 1.3)),
            "the latency ratio could be up to 1.3, limit 1.25",
        ),
        (Reason(rule=Rule.SIZE, value=0.51, limit=0.5, found=Judgement.EXCEEDED), "size ratio 0.51, limit 0.5"),
        (Reason(rule=Rule.RUN, value=0.5, limit=0.99, found=Judgement.MISSED), "same answers 0.5, limit 0.99"),
        (
            Reason(rule=Rule.INTEGERS, value=None, limit=1, found=Judgement.UNKNOWN),
            "integer compute unknown, limit 1",
        ),
        (
            Reason(rule=Rule.BYTES, against="anchor", value=0, limit=1, found=Judgement.INCOMPARABLE),
            "not compared with the anchor, whose file is not what was registered",
        ),
    ],
)
def test_a_bound_is_called_a_bound(reason: Reason, said: str) -> None:
    assert str(reason) == said


def test_what_is_recorded_stays_as_it_was() -> None:
    """Records of the audit log are hashed with their reasons: a field more, or other words, would break every chain."""
    reason = Reason(rule=Rule.RECALL, against="anchor", value=float("nan"), limit=1, found=Judgement.EXCEEDED, of="dog")
    text = (
        '{"rule":"recall vs anchor","value":null,"limit":1.0,"code":"recall_drop_exceeded","interval":null,"of":"dog",'
        '"needed":null}'
    )
    assert reason.model_dump_json() == text
    assert json.dumps(reason.model_dump(mode="json"), separators=(",", ":")) == text


@pytest.mark.parametrize("against", [None, "champion", "anchor"])
@pytest.mark.parametrize("found", Judgement)
@pytest.mark.parametrize("rule", Rule)
def test_a_record_is_read_as_it_was_written(rule: Rule, found: Judgement, against: str | None) -> None:
    reason = Reason(rule=rule, against=against, value=0.1, limit=0.2, found=found, interval=(0.0, 0.1), needed=3)
    record = json.loads(reason.model_dump_json())
    assert record["rule"] == (rule if against is None else f"{rule} vs {against}")
    assert record["code"] == f"{rule.figure}_{found}"
    assert json_file.parse_record(json.dumps(record), Reason) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "size_ratio_ok"},
        {"code": "accuracy_drop_fine"},
        {"code": ["accuracy_drop_ok"]},
        {"code": None},
        {"rule": "accuracy against champion"},
        {"rule": ["accuracy"]},
        {"rule": None},
        {"found": "ok"},
        {"against": "champion"},
    ],
)
def test_a_record_has_one_meaning(changes: dict[str, Any]) -> None:
    record = {"rule": "accuracy", "value": 0.0, "limit": 0.01, "code": "accuracy_drop_ok"}
    assert json_file.parse_record(json.dumps(record), Reason).met
    with pytest.raises(json_file.Unreadable):
        json_file.parse_record(json.dumps(record | changes), Reason)
    without = {name: value for name, value in record.items() if name != "code"} | {"found": "ok"}
    with pytest.raises(json_file.Unreadable):
        json_file.parse_record(json.dumps(without), Reason)
    with pytest.raises(json_file.Unreadable):
        json_file.parse_record(json.dumps({"code": "accuracy_drop_ok", "value": 0.0, "limit": 0.01}), Reason)
