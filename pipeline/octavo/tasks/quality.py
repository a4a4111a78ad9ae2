"""How good the answers of a classifier are, as scorecards record it. Light: whoever reads scorecards imports it."""

from octavo.project.schema import Interval, Record


class Paired(Record):
    """One variant against a reference, image by image."""

    delta: float
    """Top-1 of the variant minus top-1 of the reference."""
    ci: Interval
    broke: int
    """Images only the reference got right."""
    fixed: int
    """Images only the variant got right."""
    agreement: float
    """Share of images with the same top-1 class."""
    per_class: dict[str, tuple[int, int, int]] = {}
    """Class -> of its images, how many broke, how many were fixed, how many there are; empty where not counted."""


class Quality(Record):
    top1: float
    n: int
    ci95: Interval
    per_class_recall: list[float]
    confusion: list[list[int]]
    """Rows are the actual class, columns the predicted one."""
    vs_baseline: Paired
    vs_control: Paired | None = None
    """Of a quantization-aware variant: beside the float network that trained on for just as long."""
