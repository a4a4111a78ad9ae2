"""Whether the baseline beats the majority class: whether it is better than the answer that is always the same.

Where it is not, every variant of it "loses nothing", and the rest of the gate proves nothing.

The constant answer is the one that is right most often on the test split itself, so no constant can pass, whatever
class it names. The majority class of train could be another one where the splits differ, and a constant of the test
split's own majority would then pass for better than chance. Nothing is chosen by it but what has to be beaten.

The right answers are held to the binomial law with the share of that class. This is exact for the constant, and safe
for guesses that do not look at the image, whatever their mixture of classes: on given labels they are right with one
chance an image, and the mean of these chances is at most that share. W. Hoeffding, On the distribution of the number
of successes in independent trials, Annals of Mathematical Statistics 27 (1956), 713-721, shows that their tail is then
no heavier, from one above the mean on. The share is called the no-information rate, and tested alike, in M. Kuhn,
Building predictive models in R using the caret package, Journal of Statistical Software 28 (2008), issue 5.
"""

from scipy.stats import binom

from octavo.evaluation.scorecard import Scorecard
from octavo.promotion.decision import Majority


def against_majority(card: Scorecard, classes: list[str], confidence: float) -> Majority:
    """Test that `card`'s model is right more often than the constant answer.

    Args:
        card: of the baseline; its confusion matrix has the counts.
        classes: their names, in the order of the matrix.
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
    """Right answers whose chance is at most `level`; one more than there are images where not even all suffice."""
    fewest = int(binom.isf(level, n, share))
    while fewest <= n and binom.sf(fewest - 1, n, share) > level:
        fewest += 1
    return fewest
