"""The gate's decision, as written to `reports/decision.json`."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, ValidationInfo, model_serializer, model_validator

from octavo.project.errors import ModelError
from octavo.project.files import json_file
from octavo.project.params.policy import AgreementPolicy, Policy
from octavo.project.schema import Interval, Record

Outcome = Literal["pass", "fail", "underpowered", "refused"]
BESIDE = " vs "
"""Separates, in records, a rule from the model in service that the variant was compared with."""


class Rule(StrEnum):
    """A rule of the gate, by its name in records."""

    ACCURACY = "accuracy"
    AGREEMENT = "agreement"
    RECALL = "recall"
    SIZE = "size"
    LATENCY = "latency"
    INTEGERS = "integers"
    BASELINE = "baseline"
    SQNR = "sqnr"
    FINITE = "finite"
    RUN = "run"
    BYTES = "bytes"
    TEST_SPLIT = "test split"

    @property
    def figure(self) -> str:
        """The figure that it judges: the first part of a record's code."""
        return FIGURES[self]


FIGURES = {
    Rule.ACCURACY: "accuracy_drop",
    Rule.AGREEMENT: "agreement",
    Rule.RECALL: "recall_drop",
    Rule.SIZE: "size_ratio",
    Rule.LATENCY: "latency_ratio",
    Rule.INTEGERS: "integer_compute",
    Rule.BASELINE: "baseline_accuracy",
    Rule.SQNR: "sqnr_db",
    Rule.FINITE: "values_not_finite",
    Rule.RUN: "same_answers",
    Rule.BYTES: "bytes",
    Rule.TEST_SPLIT: "test_split",
}


class Judgement(StrEnum):
    """The finding of a rule: the last part of a record's code."""

    OK = "ok"
    EXCEEDED = "exceeded"
    MISSED = "missed"
    UNKNOWN = "unknown"
    INCOMPARABLE = "incomparable"
    UNDERPOWERED = "underpowered"


BOUNDS = {Rule.ACCURACY: "up to", Rule.LATENCY: "up to", Rule.RECALL: "at least", Rule.AGREEMENT: "at least"}
"""Rules that judge a bound of their figure."""
IN_POINTS = (Rule.ACCURACY, Rule.RECALL)
"""Rules whose figure is a difference of shares."""
NOT_COMPARED = {
    Rule.BYTES: "whose file is not what was registered",
    Rule.TEST_SPLIT: "which may have been trained on today's test images",
}
"""Why a variant could not be compared with a model in service."""


class Reason(Record):
    """The result of one rule. The rule `baseline` is the same for every variant, and recorded only if it is not met.

    Records hold `name` as `rule`, and `code` (`<figure>_<finding>`) in place of the finding.
    """

    rule: Rule
    against: str | None = None
    """The model in service that the variant was compared with; None for the baseline."""
    value: float | None
    """The figure as it was judged, which may be an end of its interval; None if it is unknown."""
    limit: float
    found: Judgement
    interval: Interval | None = None
    """The figure's interval, if it has one."""
    of: str | None = None
    """The class of the figure, for a figure of one class."""
    needed: int | None = None
    """If there were too few images: the number of test images that would decide."""

    @model_validator(mode="before")
    @classmethod
    def _take_record(cls, given: Any, info: ValidationInfo) -> Any:
        """Read what `_give_record` wrote. In JSON nothing else is accepted."""
        if not isinstance(given, Mapping) or (info.mode == "python" and "code" not in given):
            return given
        if "rule" not in given or "code" not in given or given.keys() & {"against", "found"}:
            raise ValueError("a reason has `rule` and `code`, and neither `against` nor `found`")
        name, beside, against = str(given["rule"]).partition(BESIDE)
        rule = Rule(name)
        found = next((found for found in Judgement if given["code"] == f"{rule.figure}_{found}"), None)
        if found is None:
            raise ValueError(f"{str(given['code'])[:60]!r} is no code of the rule {name}")
        rest = {field: value for field, value in given.items() if field != "code"}
        return rest | {"rule": rule, "found": found, "against": against if beside else None}

    @model_serializer(mode="wrap")
    def _give_record(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = write(self) | {"rule": self.name, "code": self.code}
        return {name: fields[name] for name in ("rule", "value", "limit", "code", "interval", "of", "needed")}

    @property
    def name(self) -> str:
        """The rule, with the model in service if there is one: `accuracy vs champion`."""
        return self.rule if self.against is None else f"{self.rule}{BESIDE}{self.against}"

    @property
    def code(self) -> str:
        """Figure and finding in one word, such as `accuracy_drop_exceeded`."""
        return f"{self.rule.figure}_{self.found}"

    @property
    def met(self) -> bool:
        """Whether the rule is met."""
        return self.outcome == "pass"

    @property
    def outcome(self) -> Outcome:
        """What the rule alone decides."""
        if self.found is Judgement.OK:
            return "pass"
        return "underpowered" if self.found is Judgement.UNDERPOWERED else "fail"

    @property
    def bound(self) -> str:
        """What `value` is of its figure: `up to`, `at least`, or empty for the figure as measured."""
        return BOUNDS.get(self.rule, "")

    def __str__(self) -> str:
        if self.rule in NOT_COMPARED:
            return f"not compared with the {self.against}, {NOT_COMPARED[self.rule]}"
        limit = _points(self.limit) if self.rule in IN_POINTS else f"{self.limit:g}"
        text = f"{self._finding('' if self.against is None else f'{BESIDE}{self.against}')}, limit {limit}"
        if self.rule is Rule.BASELINE and self.limit > 1:
            return (
                "no accuracy on these test images could be shown to beat the majority class: they are too few, or all "
                "of one class"
            )
        if self.rule is Rule.BASELINE:
            return f"{text} to beat the majority class"
        if self.found is Judgement.INCOMPARABLE:
            return f"{text}, but not known to be timed on the baseline's machine"
        return f"{text}, {self.needed:,} test images would decide" if self.needed else text

    def _finding(self, versus: str) -> str:
        """The figure in words. A bound is called one."""
        figure = self.rule.figure.replace("_", " ")
        if self.value is None:
            return f"{figure}{versus} unknown"
        if self.rule is Rule.AGREEMENT:
            return f"the agreement{versus} could be as low as {self.value:.4g}"
        if self.rule is Rule.RECALL:
            lost = f"class {self.of} is shown to have lost at least {_points(self.value)} of recall{versus}"
            return lost if self.value else f"no class is shown to have lost recall{versus}"
        if self.rule is Rule.ACCURACY and self.value < 0:
            return f"the accuracy gain{versus} is at least {_points(-self.value)}"
        if not self.bound:
            return f"{figure}{versus} {self.value:.4g}"
        form = _points if self.rule is Rule.ACCURACY else "{:.4g}".format
        least = self.interval[0] if self.interval else self.limit
        shown = f"is at least {form(least)} and " if least > self.limit else ""
        return f"the {figure}{versus} {shown}could be up to {form(self.value)}"


class Verdict(Record):
    variant: str
    verdict: Outcome
    reasons: tuple[Reason, ...]
    """One per rule, including the rules that are met."""
    refused: str | None = None
    """For the verdict `refused`: why there is no model to judge."""

    @property
    def unmet(self) -> tuple[Reason, ...]:
        """The rules that are not met."""
        return tuple(reason for reason in self.reasons if not reason.met)

    @property
    def accuracy_bounds(self) -> Interval | None:
        """Bounds of the accuracy difference as they were judged; None if only the drop was recorded.

        Without labels, the difference is that of the agreement from full agreement.
        """
        judged = {reason.rule: reason.interval for reason in self.reasons}
        if drop := judged.get(Rule.ACCURACY):
            return 0.0 - drop[1], 0.0 - drop[0]
        agreement = judged.get(Rule.AGREEMENT)
        return agreement and (agreement[0] - 1, agreement[1] - 1)


class Majority(Record):
    """The baseline compared with the constant answer that is right most often on the test split."""

    of: str
    """The class of the constant answer."""
    images: int
    """Images of that class, on which the constant answer is right."""
    right: int
    """Images on which the baseline is right."""
    n: int
    """All images."""
    p_value: float
    """Largest chance of at least that many right answers without looking at the images."""
    confidence: float
    """One-sided, of the policy."""
    needed: int
    """Right answers that show the baseline to be better; n + 1 if even n would not show it."""
    beaten: bool


class Decision(Record):
    winner: str | None
    baseline: str
    policy: Policy | AgreementPolicy
    """The latter where the data have no labels."""
    verdicts: tuple[Verdict, ...]
    """One per candidate. The baseline has none, because the others are measured against it."""
    majority: Majority | None = None
    """None in decisions of earlier releases, and where the data have no labels."""

    @property
    def labelled(self) -> bool:
        """Whether accuracy was judged by labels, and not by the baseline's answers."""
        return isinstance(self.policy, Policy)

    def verdict(self, variant: str) -> Verdict | None:
        """The verdict on `variant`; None for the baseline."""
        return next((verdict for verdict in self.verdicts if verdict.variant == variant), None)


def outcome(reasons: Iterable[Reason]) -> Outcome:
    """The verdict that follows from the reasons: fail if one fails, otherwise underpowered if one is,
    otherwise pass.
    """
    found = {reason.outcome for reason in reasons}
    return "fail" if "fail" in found else "underpowered" if "underpowered" in found else "pass"


def _points(share: float) -> str:
    """A share in percentage points, with enough digits that a value just above its limit does not read as the limit.

    >>> _points(0.0295), _points(0.01)
    ('2.95 points', '1 point')
    """
    text = f"{100 * share:.4g}"
    return f"{text} {'point' if text == '1' else 'points'}"


def load_decision(path: Path) -> Decision:
    """Read `reports/decision.json`.

    Raises:
        ModelError: the file is missing or not a decision.
    """
    try:
        return json_file.read_record(path, Decision)
    except FileNotFoundError:
        raise ModelError(f"No {path} yet. Run dvc repro first.") from None
    except json_file.Unreadable as error:
        raise ModelError(f"{path} is not a decision file ({error}). Run dvc repro again.") from None
