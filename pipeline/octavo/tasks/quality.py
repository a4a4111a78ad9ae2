"""Records of a classifier's quality in scorecards. No heavy imports, because every reader of scorecards imports it."""

from octavo.project.schema import Interval, Record


class Paired(Record):
    """A variant compared with a reference, image by image."""

    delta: float
    """Top-1 accuracy of the variant minus that of the reference."""
    ci: Interval
    """95% confidence interval of `delta`."""
    broke: int
    """Images that only the reference classified correctly."""
    fixed: int
    """Images that only the variant classified correctly."""
    agreement: float
    """Share of images with the same top-1 class."""
    per_class: dict[str, tuple[int, int, int]] = {}
    """Class -> numbers of its images that broke, that were fixed, and of all its images; empty if not counted."""


class Quality(Record):
    """How well a variant classifies the test split."""

    top1: float
    """Top-1 accuracy."""
    n: int
    """Number of images."""
    ci95: Interval
    """95% confidence interval of `top1`."""
    per_class_recall: list[float]
    """In label order; 0 for a class without images, which the confusion matrix shows."""
    confusion: list[list[int]]
    """Rows are the actual class, columns the predicted class."""
    vs_baseline: Paired
    vs_control: Paired | None = None
    """For a quantization-aware variant: compared with the float network that was trained further for the same time."""
