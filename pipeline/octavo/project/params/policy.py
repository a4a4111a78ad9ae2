"""Section `policy`: the limits that a variant must meet to be promoted; and the limits where data have no labels."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    model_validator,
)

from octavo.project.params.section import ClassName, Model, Share

Figure = Literal["latency", "size", "accuracy"]


class Policy(Model):
    """Limits for a variant, compared with the baseline."""

    confidence: Annotated[float, Field(gt=0.5, le=0.999999)] = 0.95
    """One-sided confidence of three proofs: that accuracy is kept, that recall is lost, and that the baseline is better
    than the majority class. Above 0.999999 the bounds are not exact, because they ignore probabilities below 1e-8."""
    max_accuracy_drop: Share
    """The non-inferiority margin of top-1 accuracy."""
    max_recall_drop: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Largest drop of recall of any class."""
    recall_drops: dict[ClassName, Annotated[float, Field(ge=0, lt=1)]] = {}
    """Class -> its own limit, instead of `max_recall_drop`."""
    max_size_ratio: Annotated[float, Field(gt=0)]
    max_latency_ratio: Annotated[float, Field(gt=0)]
    min_integer_compute_share: Annotated[float, Field(ge=0, le=1)] = 0
    """Smallest share of multiply-accumulates in integer kernels, as the integer proof measures it."""
    prefer: Annotated[tuple[Figure, ...], Field(min_length=1)] = ("latency", "size", "accuracy")
    """Figures that choose the best of the passing variants. The next figure decides if the previous ones are equal."""
    approvals: Annotated[int, Field(ge=0, le=9)] = 0
    """Number of people who must approve a promotion, not counting the person who asks for it. The server's own file
    decides."""

    @model_validator(mode="after")
    def _preferences_are_named_once(self) -> "Policy":
        if len(set(self.prefer)) < len(self.prefer):
            raise ValueError(f"prefer is {list(self.prefer)}, but each figure is allowed only once")
        return self


class AgreementPolicy(Model):
    """Limits for a variant where the data have no labels: it is compared with the answers of the baseline."""

    confidence: Annotated[float, Field(gt=0.5, le=0.999999)] = 0.95
    """One-sided, of the proof that the agreement is kept."""
    min_agreement: Share = 0.99
    """Smallest share of examples that get the same answer as from the baseline. Whatever the labels are, accuracy then
    drops by at most the rest: 1 point."""
    min_sqnr_db: Annotated[float, Field(ge=-200, le=200)] = 20.0
    """Smallest signal-to-quantization-noise ratio of the outputs, in decibels: the noise has one hundredth of the power
    of the outputs."""
    max_size_ratio: Annotated[float, Field(gt=0)]
    max_latency_ratio: Annotated[float, Field(gt=0)]
    min_integer_compute_share: Annotated[float, Field(ge=0, le=1)] = 0
    prefer: Annotated[tuple[Figure, ...], Field(min_length=1)] = ("latency", "size", "accuracy")
    """As in `Policy`; accuracy is the agreement."""
