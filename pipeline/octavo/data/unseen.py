"""Whether a model of earlier data may have been trained on today's test images."""

from octavo.data.splits import Manifest


def why_not(now: Manifest, then: Manifest | None) -> str | None:
    """Why a model that was made of `then` may have seen test images of `now`; None if it has seen none of them.

    An image's split depends on the rule, the seed and the share of test. If these are the same, the image was in test
    before too. A smaller share holds out some of the same images, a larger one also others. A source's own test split
    can only be compared with another source's own test split.

    Args:
        now: the data of the test.
        then: the data that the model was made of; None if they are unknown.
    """
    if then is None:
        return "which data it was made of is not recorded"
    if now.own_test or then.own_test:
        return None if now.own_test == then.own_test else f"its data {_own(then)}, and those of today {_own(now)}"
    if now.split_rule != then.split_rule:
        return f"its data were split by rule {then.split_rule}, those of today are by rule {now.split_rule}"
    if now.seed != then.seed:
        return f"its data were split with data.seed {then.seed}, those of today are with {now.seed}"
    if now.test_share and then.test_share and now.test_share > then.test_share:
        return f"data.test was {then.test_share:g} for its data, and is {now.test_share:g} today"
    return None


def _own(manifest: Manifest) -> str:
    return "had a test split of their own" if manifest.own_test else "were split here"
