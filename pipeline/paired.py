"""Two classifiers on the same images: the difference of their accuracies, and how sure one can be of it."""

import math

from scipy.optimize import brentq
from scipy.stats import norm


def score_interval(broke: int, fixed: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the paired difference (fixed - broke) / n, in accuracy.

    It holds its level at small counts, also at none. Source: T. Tango, Equivalence test and confidence interval for
    the difference in proportions for the paired-sample design, Statistics in Medicine 17 (1998), 891-908.

    Args:
        broke: images that only the reference got right.
        fixed: images that only the other got right.
        n: all images.
        confidence: two-sided.
    """
    bound = float(norm.ppf(0.5 + confidence / 2))
    delta = (fixed - broke) / n

    def excess(at: float, sign: int) -> float:
        return _score(broke, fixed, n, at) - sign * bound

    edge = 1 - 1e-12
    low = -1.0 if excess(-edge, 1) < 0 else float(brentq(excess, -edge, delta, args=(1,)))
    high = 1.0 if excess(edge, -1) > 0 else float(brentq(excess, delta, edge, args=(-1,)))
    return low, high


def _score(broke: int, fixed: int, n: int, delta: float) -> float:
    """The score statistic for the hypothesis that the true difference is `delta`; falls as `delta` rises."""
    linear = -fixed - broke + (2 * n - fixed + broke) * delta
    constant = -broke * delta * (1 - delta)
    only_reference = (math.sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    variance = n * (2 * only_reference + delta * (1 - delta))
    distance = fixed - broke - n * delta
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0
