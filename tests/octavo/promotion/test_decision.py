"""Findings in words: a bound is called a bound, and what was measured is not."""

import pytest

from octavo.promotion.decision import Reason


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            Reason(
                rule="accuracy", value=0.0295, limit=0.01, code="accuracy_drop_underpowered", interval=(-0.01, 0.0295)
            ),
            "the accuracy drop could be up to 2.95 points, limit 1 point",
        ),
        (
            Reason(
                rule="accuracy vs anchor",
                value=0.0295,
                limit=0.01,
                code="accuracy_drop_exceeded",
                interval=(0.012, 0.0295),
            ),
            "the accuracy drop vs anchor is at least 1.2 points and could be up to 2.95 points, limit 1 point",
        ),
        (
            Reason(rule="accuracy", value=0.02, limit=0.01, code="accuracy_drop_exceeded"),
            "the accuracy drop could be up to 2 points, limit 1 point",
        ),
        (
            Reason(rule="accuracy", value=-0.003, limit=0.005, code="accuracy_drop_ok", interval=(-0.01, -0.003)),
            "the accuracy gain is at least 0.3 points, limit 0.5 points",
        ),
        (
            Reason(rule="recall", value=0.07, limit=0.05, code="recall_drop_exceeded", of="dog"),
            "class dog is shown to have lost at least 7 points of recall, limit 5 points",
        ),
        (
            Reason(rule="recall vs champion", value=0, limit=0.05, code="recall_drop_ok", of="dog"),
            "no class is shown to have lost recall vs champion, limit 5 points",
        ),
        (
            Reason(rule="latency", value=1.3, limit=1.25, code="latency_ratio_exceeded", interval=(1.1, 1.3)),
            "the latency ratio could be up to 1.3, limit 1.25",
        ),
        (Reason(rule="size", value=0.51, limit=0.5, code="size_ratio_exceeded"), "size ratio 0.51, limit 0.5"),
        (Reason(rule="run", value=0.5, limit=0.99, code="same_answers_missed"), "same answers 0.5, limit 0.99"),
        (
            Reason(rule="integers", value=None, limit=1, code="integer_compute_unknown"),
            "integer compute unknown, limit 1",
        ),
        (
            Reason(rule="bytes vs anchor", value=0, limit=1, code="bytes_incomparable"),
            "not compared with the anchor, whose file is not what was registered",
        ),
    ],
)
def test_a_bound_is_called_a_bound(reason: Reason, said: str) -> None:
    assert str(reason) == said


def test_the_words_leave_what_is_recorded_as_it_was() -> None:
    """Records of the audit log are hashed with their reasons: a field more would break every chain."""
    assert set(Reason.model_fields) == {"rule", "value", "limit", "code", "interval", "of", "needed"}
