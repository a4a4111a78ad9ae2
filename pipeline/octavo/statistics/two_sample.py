"""Two samples of counts: whether one distribution can have produced both, and how far apart they are."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import MonteCarloMethod, chi2_contingency

Counts = npt.NDArray[Any]

GROUPS = 10
SCREEN, CLEAR = 499, 0.05
"""The number of random tables for a first test, and the p-value above which the difference is plainly ordinary.
Otherwise more tables are drawn. So the first test can only prevent a finding, never cause one.
"""
HITS = 5
"""Random tables to expect beyond the level. With as many, a Monte Carlo test decides nearly as the exact one would
(F. H. C. Marriott, Barnard's Monte Carlo tests: how many simulations?, Applied Statistics 28 (1979), 75-77).
"""


def p_value(first: Counts, second: Counts, level: float) -> float:
    """The probability that chance alone makes two samples at least as different as these, by Pearson's chi-square.

    The distribution of chi-square is drawn from random tables with the same margins, so that the level holds at small
    counts too: p ≤ `level` happens at most with that probability. The draws have a fixed seed.

    Args:
        first: counts (K,).
        second: counts (K,).
        level: of the test; more tables are drawn for a smaller one.
    """
    table = np.stack([first, second])[:, first + second > 0]
    for draws in (SCREEN, math.ceil(HITS / level) - 1):
        method = MonteCarloMethod(n_resamples=draws, rng=np.random.default_rng(0))
        p = float(chi2_contingency(table, correction=False, method=method).pvalue)
        if p > max(CLEAR, level):
            break
    return p


def distance(first: Counts, second: Counts) -> float:
    """Total variation distance of two samples (K,): the share of one that would have to change to match the other."""
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def pooled(first: Counts, second: Counts) -> tuple[Counts, Counts]:
    """Two histograms (K,) with neighbouring bins merged into at most `GROUPS` groups of about equal total counts.

    The groups depend only on the sums of both, so a test that holds these fixed keeps its level.
    """
    both = first + second
    middles = np.cumsum(both) - both / 2
    group = np.floor(middles * GROUPS / both.sum()).astype(int)
    first, second = (np.bincount(group, counts, GROUPS).astype(np.int64) for counts in (first, second))
    return first[first + second > 0], second[first + second > 0]
