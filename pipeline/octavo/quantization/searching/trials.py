"""Post-training quantization tried out: each trial one way to quantize a network, judged on the selection split.

Those trials are equally good whose top-1 agreement with the float network and whose accuracy lie within a standard
error of the best: a few images more or less are chance. Among these the signal-to-quantization-noise ratio of the
logits decides, to whole decibels, then bytes; where asked, measured latency before both. Nothing else depends on the
machine, so that the same inputs choose the same; and nothing on the test split.
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
    """Operators left in float, by their output."""

    @property
    def form(self) -> Form:
        """What its latency depends on."""
        return self.per_channel, self.left


class Trial(Record):
    """What one choice gave on the selection split."""

    choice: Choice
    agreement: float
    accuracy: float
    sqnr_db: float
    file_bytes: int


def sound(trials: Sequence[Trial], min_sqnr_db: float) -> list[Trial]:
    """Those that keep the network; a file made like the others would be refused."""
    return [trial for trial in trials if trial.sqnr_db >= min_sqnr_db]


def best(trials: Sequence[Trial], n: int) -> Trial:
    """The best of the trials on `n` images."""
    return max(equals(trials, n), key=lambda trial: (round(trial.sqnr_db), -trial.file_bytes, trial.sqnr_db))


def equals(trials: Sequence[Trial], n: int) -> list[Trial]:
    """Those that are as good as the best on `n` images, by the one-standard-error rule (Breiman et al., CART, 1984)."""
    agreement = max(trial.agreement for trial in trials)
    agreeing = [trial for trial in trials if trial.agreement >= agreement - _standard_error(agreement, n)]
    accuracy = max(trial.accuracy for trial in agreeing)
    return [trial for trial in agreeing if trial.accuracy >= accuracy - _standard_error(accuracy, n)]


def _standard_error(share: float, n: int) -> float:
    """Of a share seen on `n` images; two more of either kind keep it above zero (Agresti and Coull, 1998)."""
    moved = (share * n + 2) / (n + 4)
    return float(np.sqrt(moved * (1 - moved) / (n + 4)))
