"""The gate's decision, as written to `reports/decision.json`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from octavo.project.errors import ModelError
from octavo.project.files import json_file
from octavo.project.params.policy import Policy
from octavo.project.schema import Interval, Record

Outcome = Literal["pass", "fail", "underpowered", "refused"]
BOUNDS = {"accuracy_drop": "up to", "latency_ratio": "up to", "recall_drop": "at least"}
"""Figures that are judged by a bound."""
UNSEEN = "which may have been trained on today's test images"


class Reason(Record):
    """One rule's finding. That of `baseline` is the same for every variant, and recorded only where it does not hold.

    `code` is `<figure>_ok`, `<figure>_exceeded`, `<figure>_missed`, `<figure>_unknown`, `<figure>_incomparable` or
    `<figure>_underpowered`.
    """

    rule: str
    """For example `accuracy`; `accuracy vs champion` where it was not judged against the baseline."""
    value: float | None
    """The figure as it was judged: where that is an end of its interval, that end; None where it is unknown."""
    limit: float
    code: str
    interval: Interval | None = None
    """The figure's interval, where there is one."""
    of: str | None = None
    """The class that it is the figure of."""
    needed: int | None = None
    """Where too few images were seen: the number of test images that would decide."""

    @property
    def met(self) -> bool:
        """Whether the rule holds."""
        return self.outcome == "pass"

    @property
    def outcome(self) -> Outcome:
        """What the rule says by itself."""
        found = self.code.rpartition("_")[2]
        return "pass" if found == "ok" else "underpowered" if found == "underpowered" else "fail"

    @property
    def bound(self) -> str:
        """What `value` is of its figure: `up to`, `at least`, or nothing where it is the figure as measured."""
        return BOUNDS.get(self.code.rpartition("_")[0], "")

    def __str__(self) -> str:
        figure, _, found = self.code.rpartition("_")
        against = self.rule.partition(" vs ")[2]
        if found == "incomparable" and against:
            why = "whose file is not what was registered" if figure == "bytes" else UNSEEN
            return f"not compared with the {against}, {why}"
        text = f"{self._finding(figure, f' vs {against}' if against else '')}, limit {self._limit(figure)}"
        if self.rule == "baseline":
            return f"{text} to beat the majority class"
        if found == "incomparable":
            return f"{text}, but not known to be timed on the baseline's machine"
        return f"{text}, {self.needed:,} test images would decide" if self.needed else text

    def _finding(self, figure: str, versus: str) -> str:
        """The figure in words; a bound is called one."""
        if self.value is None:
            return f"{figure.replace('_', ' ')}{versus} unknown"
        if figure == "recall_drop" and self.value == 0:
            return f"no class is shown to have lost recall{versus}"
        if figure == "recall_drop":
            return f"class {self.of} is shown to have lost at least {_points(self.value)} of recall{versus}"
        if figure == "accuracy_drop" and self.value < 0:
            return f"the accuracy gain{versus} is at least {_points(-self.value)}"
        if not self.bound:
            return f"{figure.replace('_', ' ')}{versus} {self.value:.4g}"
        form = _points if figure == "accuracy_drop" else "{:.4g}".format
        least = self.interval[0] if self.interval else self.limit
        shown = f"is at least {form(least)} and " if least > self.limit else ""
        return f"the {figure.replace('_', ' ')}{versus} {shown}could be up to {form(self.value)}"

    def _limit(self, figure: str) -> str:
        return _points(self.limit) if figure.endswith("_drop") else f"{self.limit:g}"


class Verdict(Record):
    variant: str
    verdict: Outcome
    reasons: tuple[Reason, ...]
    """One a rule, those that hold included."""
    refused: str | None = None
    """Why there is no model to judge, where the verdict is `refused`."""

    @property
    def unmet(self) -> tuple[Reason, ...]:
        """The rules that do not hold."""
        return tuple(reason for reason in self.reasons if not reason.met)

    @property
    def accuracy_bounds(self) -> Interval | None:
        """Bounds of the difference of the accuracies, as they were judged; None where only the drop was recorded."""
        drop = next((reason.interval for reason in self.reasons if reason.rule == "accuracy"), None)
        return None if drop is None else (0.0 - drop[1], 0.0 - drop[0])


class Majority(Record):
    """The baseline beside the constant answer that is right most often on the test split."""

    of: str
    """The class that the constant answers."""
    images: int
    """Those of that class, on which the constant is right."""
    right: int
    """Images that the baseline is right on."""
    n: int
    """All images."""
    p_value: float
    """Chance of that many right answers or more without looking at the images, at most."""
    confidence: float
    """One-sided, of the policy."""
    needed: int
    """Right answers that show the baseline to be better; more than there are images where not even all would."""
    beaten: bool


class Decision(Record):
    winner: str | None
    baseline: str
    policy: Policy
    verdicts: tuple[Verdict, ...]
    """One a candidate. The baseline is what the others are measured against, so it has none."""
    majority: Majority | None = None
    """None in decisions from before this was recorded."""

    def verdict(self, variant: str) -> Verdict | None:
        """The verdict on `variant`; None for the baseline."""
        return next((verdict for verdict in self.verdicts if verdict.variant == variant), None)


def outcome(reasons: Iterable[Reason]) -> Outcome:
    """What the reasons come to: fail if any does, else underpowered if any is, else pass."""
    found = {reason.outcome for reason in reasons}
    return "fail" if "fail" in found else "underpowered" if "underpowered" in found else "pass"


def _points(share: float) -> str:
    """A share in percentage points, finely enough that one just beyond its limit does not read as the limit.

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
        raise ModelError(f"No {path} yet. Run dvc repro (or make repro) first.") from None
    except json_file.Unreadable as error:
        raise ModelError(f"{path} is not a decision file ({error}). Run dvc repro again.") from None
