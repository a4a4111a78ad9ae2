"""Non-inferiority of one classifier to another on the same images: an exact bound, its power, and the images it needs.

Of `n` images, the classifier `broke` some, which only its reference gets right, and `fixed` others. Their distribution
has two parameters: the true difference of the accuracies, and the discordance rate, which is the chance that exactly
one of the two is right. Results are ordered by Tango's lower score limit. For a true difference, the chance of a result
at least as high as the observed one is summed exactly. The bound is the difference at which this chance is
1 - confidence, for the discordance rate that makes it largest. Tango's own limit exceeds a level of 5% (5.6% at 359
images and a margin of 0.005, `benchmarks/gate.py`).

The discordance rate is searched in a confidence set of its own. The chance that the set misses the true rate is
subtracted from the level. Without this set, a rate near 1, which no two classifiers in use have, would widen every
bound. The set belongs to a bin of discordant counts two standard deviations wide, so that one order serves many
results. Within a bin, one more correct image never lowers the bound. From one bin to the next it has been seen to do
so, by a point at most, only where most images were discordant.

Sources: R. J. Buehler, Confidence intervals for the product of two binomial parameters, JASA 52 (1957), 482-493;
C. J. Lloyd and M. V. Moldovan, Exact one-sided confidence limits for the difference between two correlated
proportions, Statistics in Medicine 26 (2007), 3369-3384; R. L. Berger and D. D. Boos, P values maximized over a
confidence set for the nuisance parameter, JASA 89 (1994), 1012-1016; H. Hsueh, J. Liu and J. J. Chen, Unconditional
exact tests for equivalence or noninferiority for paired binary endpoints, Biometrics 57 (2001), 478-483.
"""

import math
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import beta, binom, norm

from octavo.statistics.paired_proportions import score, score_interval

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

OUTSIDE = 0.002
"""Share of the level reserved for a discordance rate outside its confidence set."""
RATES = 65
"""Number of discordance rates tried. With 1,001 the largest chance rises by at most 0.00002."""
DEVIATIONS = 6
"""Standard deviations of a count beyond which its chance, below 1e-8, is left out. For a level below 3e-5 there are
more, so that what is left out stays below a hundredth of the level.
"""
EDGE = 1 - 1e-9
TIE = 1e-6
"""Scores closer than this count as equal."""
EXACT_UP_TO = 2000
"""Number of discordant images up to which power is summed exactly. Beyond it, the closed form is right to a percent."""


@cache
def lower_bound(broke: int, fixed: int, n: int, confidence: float = 0.95) -> float:
    """The exact lower bound of the true difference in accuracy, which is observed as (fixed - broke) / n.

    In at least `confidence` of all repetitions it is at or below the truth, whatever that is. It is -1 if nothing can
    be said. It takes some 0.1 s if tens of 10,000 images are discordant, 0.5 s if hundreds are.

    Args:
        broke: number of images that only the reference got right.
        fixed: number of images that only the other got right.
        n: number of all images.
        confidence: one-sided.
    """
    limit = _score_limit(broke, fixed, n, confidence)
    if limit <= -1:
        return -1.0

    def excess(delta: float) -> float:
        return _largest_chance(limit, n, delta, broke + fixed, confidence) - (1 - confidence)

    step = ((fixed - broke) / n - limit) / 10
    low, high = limit, min(EDGE, limit + step)
    while excess(low) > 0:
        if low <= -EDGE:
            return -1.0
        low, high, step = max(-EDGE, low - step), low, 2 * step
    while excess(high) < 0 and high < EDGE:
        high, step = min(EDGE, high + step), 2 * step
    return float(brentq(excess, low, high, xtol=1e-7))


def upper_bound(broke: int, fixed: int, n: int, confidence: float = 0.95) -> float:
    """The exact upper bound of the true difference: `lower_bound` with the two classifiers exchanged.

    Args:
        broke: number of images that only the reference got right.
        fixed: number of images that only the other got right.
        n: number of all images.
        confidence: one-sided.
    """
    return -lower_bound(fixed, broke, n, confidence)


def fewest_fixed(discordant: Integers, n: int, margin: float, confidence: float = 0.95) -> Integers:
    """How many of the discordant images must be fixed for `lower_bound` to be above -margin; one more if all do not
    suffice.

    Args:
        discordant: (K,) counts of discordant images.
        n: number of all images.
        margin: difference that must be excluded, above 0.
        confidence: one-sided.
    """
    fewest = np.empty_like(discordant)
    bins = np.array([math.isqrt(count) for count in discordant])
    for which in np.unique(bins):
        limit = _limit_to_pass(n, margin, int(which) ** 2, confidence)
        fewest[bins == which] = _fewest_to_reach(limit, discordant[bins == which], n, confidence)
    return fewest


def chance_to_pass(n: int, delta: float, discordance: float, margin: float, confidence: float = 0.95) -> float:
    """The exact chance that `lower_bound` is above -margin.

    Args:
        n: number of all images.
        delta: true difference of the accuracies.
        discordance: chance that exactly one of the two is right, above 0.
        margin: difference that must be excluded, above 0.
        confidence: one-sided.
    """
    discordant = _likely_counts(n, discordance, discordance, confidence)
    fixed = fewest_fixed(discordant, n, margin, confidence)
    share = (discordance + delta) / (2 * discordance)
    return float(binom.pmf(discordant, n, discordance) @ binom.sf(fixed - 1, discordant, share))


@cache
def images_needed(discordance: float, margin: float, confidence: float = 0.95, power: float = 0.9) -> int:
    """Test images with which a classifier that loses nothing passes with a chance of at least `power`.

    The closed form for the score test, raised by a percent at a time until the exact chance is large enough. Source:
    J. Liu, H. Hsueh, E. Hsieh and J. J. Chen, Tests for equivalence or non-inferiority for paired binary data,
    Statistics in Medicine 21 (2002), 231-245.

    Args:
        discordance: rate of images that exactly one of the two gets right, above 0.
        margin: difference that must be excluded, above 0.
        confidence: one-sided.
        power: chance to pass.
    """
    linear = discordance + 2 * margin
    only_reference = (linear + math.sqrt(linear**2 - 4 * discordance * margin * (1 + margin))) / 4
    variance = 2 * only_reference - margin - margin**2
    distance = norm.ppf(confidence) * math.sqrt(variance) + norm.ppf(power) * math.sqrt(discordance)
    n = math.ceil((distance / margin) ** 2)
    while n * discordance <= EXACT_UP_TO and chance_to_pass(n, 0.0, discordance, margin, confidence) < power:
        n += math.ceil(n / 100)
    return n


def _score_limit(broke: int, fixed: int, n: int, confidence: float) -> float:
    """Tango's lower limit, which orders the results. `confidence` is one-sided."""
    return score_interval(broke, fixed, n, 2 * confidence - 1)[0]


@cache
def _limit_to_pass(n: int, margin: float, discordant: int, confidence: float) -> float:
    """The smallest Tango limit for which `lower_bound` is above -margin, in the bin of `discordant` images."""

    def passes(limit: float) -> bool:
        return _largest_chance(limit, n, -margin, discordant, confidence) <= 1 - confidence

    step = margin / 10
    low, high = -margin - step, -margin + step
    while passes(low) and low > -EDGE:
        low, high, step = max(-EDGE, low - step), low, 2 * step
    while not passes(high):
        low, high, step = high, high + step, 2 * step
    while high - low > margin / 1e4:
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _largest_chance(limit: float, n: int, delta: float, discordant: int, confidence: float) -> float:
    """The largest chance, at a true difference, that Tango's limit reaches `limit`, plus the chance of a
    missed rate.
    """
    outside = OUTSIDE * (1 - confidence)
    rates = _plausible_rates(discordant, n, abs(delta), outside)
    counts = _likely_counts(n, rates[0], rates[-1], confidence)
    fixed = _fewest_to_reach(limit, counts, n, confidence)
    column = rates[:, None]
    chances = binom.pmf(counts, n, column) * binom.sf(fixed - 1, counts, (column + delta) / (2 * column))
    return float(chances.sum(1).max()) + outside


def _fewest_to_reach(limit: float, discordant: Integers, n: int, confidence: float) -> Integers:
    """How many of the discordant images must be fixed for Tango's limit to reach `limit`; one more if all do not
    suffice.
    """
    bound = norm.ppf(confidence) - TIE
    low, high = np.zeros_like(discordant), discordant + 1
    while (low < high).any():
        middle = (low + high) // 2
        reached = (middle > discordant) | (score(discordant - middle, middle, n, limit) >= bound)
        low, high = np.where(reached, low, middle + 1), np.where(reached, middle, high)
    return low


def _plausible_rates(discordant: int, n: int, least: float, outside: float) -> Floats:
    """Discordance rates of at least `least`, dense at both ends, that every count in the bin of `discordant` allows.

    The bounds of Clopper and Pearson for the bin's first and last count.
    """
    root = math.isqrt(discordant)
    first, last = root**2, min(n, root**2 + 2 * root)
    low = beta.ppf(outside / 2, first, n - first + 1) if first else 0.0
    high = beta.isf(outside / 2, last + 1, n - last) if last < n else 1.0
    low = max(float(low), least, 1e-9)
    return np.asarray(low + max(0.0, float(high) - low) * np.sin(np.linspace(0, math.pi / 2, RATES)) ** 2)


def _likely_counts(n: int, lowest: float, highest: float, confidence: float) -> Integers:
    """All numbers of discordant images that have a noticeable chance at some rate from `lowest` to `highest`."""
    deviations = max(DEVIATIONS, norm.ppf(confidence) + 2)
    below, above = (deviations * math.sqrt(max(0.0, n * rate * (1 - rate))) + 9 for rate in (lowest, highest))
    return np.arange(max(0, math.floor(n * lowest - below)), min(n, math.ceil(n * highest + above)) + 1)
