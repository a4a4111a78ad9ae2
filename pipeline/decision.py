"""The gate's decision, as written to `reports/decision.json`."""

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from pipeline.errors import ModelError
from pipeline.params import Policy
from pipeline.scorecard import Record

Outcome = Literal["pass", "fail", "underpowered"]


class Reason(Record):
    """One rule's finding; `code` is `<figure>_ok`, `<figure>_exceeded` or `<figure>_missed`."""

    rule: str
    value: float
    limit: float
    code: str

    @property
    def met(self) -> bool:
        """Whether the rule holds."""
        return self.code.endswith("_ok")


class Verdict(Record):
    variant: str
    verdict: Outcome
    reasons: tuple[Reason, ...]
    """One a rule, those that hold included."""


class Decision(Record):
    winner: str | None
    baseline: str
    policy: Policy
    verdicts: tuple[Verdict, ...]
    """One a candidate. The baseline is what the others are measured against, so it has none."""

    def verdict(self, variant: str) -> Verdict | None:
        """The verdict on `variant`; None for the baseline."""
        return next((verdict for verdict in self.verdicts if verdict.variant == variant), None)


def load_decision(path: Path) -> Decision:
    """Read `reports/decision.json`.

    Raises:
        ModelError: the file is missing or not a decision.
    """
    try:
        return Decision.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelError(f"No {path} yet. Run dvc repro (or make repro) first.") from None
    except (json.JSONDecodeError, ValidationError) as error:
        raise ModelError(f"{path} is not a decision file ({type(error).__name__}). Run dvc repro again.") from None
