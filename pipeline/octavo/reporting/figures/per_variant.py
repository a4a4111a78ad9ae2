"""The figures of one variant, each as an SVG file: its confusions, the error of its layers, and its tradeoff."""

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.reporting.figures.bars import bars
from octavo.reporting.figures.confusion import confusion
from octavo.reporting.figures.scatter import scatter
from octavo.reporting.figures.svg import alone

CLASSES = 100
"""With more classes a confusion matrix is not readable, and none is drawn."""
FULL_DB = 60.0
"""SQNR of the longest bar: ten bits, more than INT8 gives."""
NO_NOISE_DB = 200.0


def pictures(card: Scorecard, scorecards: Scorecards) -> dict[str, bytes]:
    """SVG files by name. The same inputs give the same bytes.

    `confusion.svg` for up to a hundred classes, `layer_error.svg` if it was measured, and `tradeoff.svg`: accuracy,
    latency and size of all variants, this one with a ring.
    """
    drawn = {}
    if len(scorecards.classes) <= CLASSES:
        drawn["confusion.svg"] = alone("confusion_plot", confusion(card.quality.confusion, scorecards.classes))
    if card.layer_sqnr_db:
        drawn["layer_error.svg"] = alone("layer_plot", bars(card.layer_sqnr_db, FULL_DB), NO_NOISE_DB)
    drawn["tradeoff.svg"] = alone("scatter_plot", scatter(scorecards), card.variant)
    return {name: text.encode() for name, text in drawn.items()}
