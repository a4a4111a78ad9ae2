"""Section `policy`: what a variant must meet to be promoted."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    model_validator,
)

from octavo.project.params.section import ClassName, Model, Share

Figure = Literal["latency", "size", "accuracy"]


class Policy(Model):
    """What a variant must meet to be promoted, each figure against the baseline's."""

    confidence: Annotated[float, Field(gt=0.5, le=0.999999)] = 0.95
    """One-sided: with which accuracy is shown to be kept, recall to be lost, and the baseline to beat the majority
    class. Nearer to 1 than this the bounds are not exact: they leave out chances below 1e-8."""
    max_accuracy_drop: Share
    """The non-inferiority margin."""
    max_recall_drop: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Of any one class."""
    recall_drops: dict[ClassName, Annotated[float, Field(ge=0, lt=1)]] = {}
    """Classes with a limit of their own."""
    max_size_ratio: Annotated[float, Field(gt=0)]
    max_latency_ratio: Annotated[float, Field(gt=0)]
    min_integer_compute_share: Annotated[float, Field(ge=0, le=1)] = 0
    """Of the multiply-accumulates, as the proof found them."""
    prefer: Annotated[tuple[Figure, ...], Field(min_length=1)] = ("latency", "size", "accuracy")
    """By what the best of those that pass is chosen; the next figure decides where one is equal."""
    approvals: Annotated[int, Field(ge=0, le=9)] = 0
    """People other than who asks for a promotion who have to approve it. The server's own file decides."""

    @model_validator(mode="after")
    def _preferences_are_named_once(self) -> "Policy":
        if len(set(self.prefer)) < len(self.prefer):
            raise ValueError(f"prefer is {list(self.prefer)}, and can name each figure once")
        return self
