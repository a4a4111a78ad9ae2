"""Two classifiers on the same images: the difference of their accuracies, and its interval."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import norm

Counts = int | npt.NDArray[np.int64]


def score_interval(broke: int, fixed: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval for the paired difference (fixed - broke) / n, in accuracy.

    Its coverage is close to the nominal one even for small counts, zero included. Source: T. Tango, Equivalence test
    and confidence interval for the difference in proportions for the paired-sample design, Statistics in Medicine 17
    (1998), 891-908.

    Args:
        broke: number of images that only the reference got right.
        fixed: number of images that only the other got right.
        n: number of all images.
        confidence: two-sided.
    """
    bound = float(norm.ppf(0.5 + confidence / 2))
    delta = (fixed - broke) / n

    def excess(at: float, sign: int) -> float:
        return float(score(broke, fixed, n, at)) - sign * bound

    edge = 1 - 1e-12
    low = -1.0 if excess(-edge, 1) < 0 else float(brentq(excess, -edge, delta, args=(1,)))
    high = 1.0 if excess(edge, -1) > 0 else float(brentq(excess, delta, edge, args=(-1,)))
    return low, high


def score(broke: Counts, fixed: Counts, n: int, delta: float) -> npt.NDArray[np.float64]:
    """Tango's score statistic for the hypothesis that the true difference is `delta`.

    Approximately standard normal if the hypothesis holds. It falls as `delta` rises, and is infinite if only one result
    is possible.

    Args:
        broke: number of images that only the reference got right; scalar or array.
        fixed: number of images that only the other got right; scalar or array.
        n: number of all images.
        delta: hypothetical difference of the accuracies.
    """
    linear = -fixed - broke + (2 * n - fixed + broke) * delta
    constant = -broke * delta * (1 - delta)
    only_reference = (np.sqrt(np.maximum(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)
    deviation = np.sqrt(np.maximum(n * (2 * only_reference + delta * (1 - delta)), 0.0))
    distance = np.asarray(fixed - broke - n * delta, float)
    certain = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.divide(distance, deviation, out=certain, where=deviation > 0)
