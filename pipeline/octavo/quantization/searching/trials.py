"""Records of trials, and the rules that choose the best. A trial is one way to quantize a network, measured on the
selection split.

Two trials are equally good if their top-1 agreement with the float network and their accuracy lie within one standard
error of the best: a difference of a few images is chance. Of equally good trials, the one with the highest SQNR of the
logits wins, in whole decibels; then the smallest file. If the user asks for it, measured latency is compared before
both. Nothing else depends on the machine, so the same inputs give the same choice. The test split is never used.
"""

from collections.abc import Sequence

import numpy as np

from octavo.project.schema import Record

Form = tuple[bool, tuple[str, ...]]


class Choice(Record):
    """One way to quantize."""

    method: str = "least_error"
    per_channel: bool = True
    bias_correction: bool = False
    equalize: bool = False
    left: tuple[str, ...] = ()
    """Outputs of the operators that stay in float."""

    @property
    def form(self) -> Form:
        """The part of the choice that latency depends on."""
        return self.per_channel, self.left


class Trial(Record):
    """The results of one choice on the selection split."""

    choice: Choice
    agreement: float
    accuracy: float
    sqnr_db: float
    file_bytes: int


def sound(trials: Sequence[Trial], min_sqnr_db: float) -> list[Trial]:
    """The trials with sufficient SQNR. A file made like one of the others would be refused."""
    return [trial for trial in trials if trial.sqnr_db >= min_sqnr_db]


def best(trials: Sequence[Trial], n: int) -> Trial:
    """The best trial: of equally good ones, the highest SQNR in whole decibels, then the smallest file.

    Args:
        trials: at least one.
        n: number of images in the selection split.
    """
    return max(equals(trials, n), key=lambda trial: (round(trial.sqnr_db), -trial.file_bytes, trial.sqnr_db))


def equals(trials: Sequence[Trial], n: int) -> list[Trial]:
    """The trials that are as good as the best on `n` images, by the one-standard-error rule.

    Source: L. Breiman et al., Classification and Regression Trees, 1984.
    """
    agreement = max(trial.agreement for trial in trials)
    agreeing = [trial for trial in trials if trial.agreement >= agreement - _standard_error(agreement, n)]
    accuracy = max(trial.accuracy for trial in agreeing)
    return [trial for trial in agreeing if trial.accuracy >= accuracy - _standard_error(accuracy, n)]


def _standard_error(share: float, n: int) -> float:
    """Standard error of a share observed on `n` images.

    Two successes and two failures are added, so that it is never zero. Source: A. Agresti and B. A. Coull, Approximate
    Is Better than "Exact" for Interval Estimation of Binomial Proportions, The American Statistician 52 (1998).
    """
    moved = (share * n + 2) / (n + 4)
    return float(np.sqrt(moved * (1 - moved) / (n + 4)))
