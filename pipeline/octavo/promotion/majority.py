"""Test whether the baseline is better than the majority class, that is, than an answer that is always the same.

If it is not, every variant of it "loses nothing", and the rest of the gate proves nothing.

The constant answer is the most frequent class of the test split itself, so no constant can pass. The majority class of
train could differ, and then a constant answer of the test split's own majority would pass as better than chance. The
test split is used here only to set the limit, not to choose a model.

The number of right answers is compared with the binomial distribution for the share of that class. This is exact for
the constant answer. It is safe for guesses that do not depend on the image, whatever their mixture of classes: for
given labels each image has its own chance of a right guess, and the mean of these chances is at most that share.
W. Hoeffding, On the distribution of the number of successes in independent trials, Annals of Mathematical Statistics 27
(1956), 713-721, shows that their tail is then no heavier, from one above the mean on. M. Kuhn, Building predictive
models in R using the caret package, Journal of Statistical Software 28 (2008), issue 5, calls the share the
no-information rate and tests it in the same way.
"""

from scipy.stats import binom

from octavo.evaluation.scorecard import Scorecard
from octavo.promotion.decision import Majority


def against_majority(card: Scorecard, classes: list[str], confidence: float) -> Majority:
    """Test whether a model is right more often than the constant answer.

    Args:
        card: scorecard of the baseline; its confusion matrix has the counts.
        classes: class names, in the order of the matrix.
        confidence: one-sided.
    """
    counts = [sum(row) for row in card.quality.confusion]
    right = sum(row[actual] for actual, row in enumerate(card.quality.confusion))
    n, most = sum(counts), max(counts)
    p_value = float(binom.sf(right - 1, n, most / n))
    return Majority(
        of=classes[counts.index(most)],
        images=most,
        right=right,
        n=n,
        p_value=p_value,
        confidence=confidence,
        needed=_fewest(n, most / n, 1 - confidence),
        beaten=p_value <= 1 - confidence,
    )


def _fewest(n: int, share: float, level: float) -> int:
    """The smallest number of right answers whose chance is at most `level`; n + 1 if even n right answers do not
    suffice.
    """
    fewest = int(binom.isf(level, n, share))
    while fewest <= n and binom.sf(fewest - 1, n, share) > level:
        fewest += 1
    return fewest
