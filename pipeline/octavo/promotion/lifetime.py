"""The confidence that a night must ask for, so that a year of nights on one test set promotes nothing by chance.

A promotion is false if the variant's true accuracy is lower, by the margin or more, than that of a model it is compared
with: the baseline, the champion or the anchor. The variant must pass against each. So the chance that a false promotion
passes is at most the level of one test (R. L. Berger, Multiparameter hypothesis testing and acceptance sampling,
Technometrics 24 (1982), 295-300). What remains to be counted are nights and variants. Their levels add up to
`nightly.false_promotions` over 365 nights. By Bonferroni's inequality, the chance of any false promotion in these
nights is no larger.

The inequality makes no assumption on how similar the models or the test sets are. It holds if all nights use the same
images, and also if the images change. So no account is kept, and new data do not start a new one: the promise is for
any 365 nights in a row. A night that builds nothing tests nothing new, and only makes the promise safer.

Each night has the same share. Within a night, the first variant gets three quarters of it, the second three quarters of
the rest, and so on; from the fourth on they get equal parts. Bonferroni's inequality holds for any weights that are
chosen without the test images (C. R. Genovese, K. Roeder and L. Wasserman, False discovery control with p-value
weighting, Biometrika 93 (2006), 509-524; for a choice on one part of the data and a test on the other: D. R. Cox, A
note on data-dependent selection of hypotheses, Biometrika 62 (1975), 441-444). The order is that of `policy.prefer`.
Accuracy, and whether a variant looks worse than the baseline, come from the selection split. A variant that fails by
bytes, time or integers gets no share. The first variant in this order that passes is promoted.

The promise requires that the models and their order do not depend on the test images. Those of a night do not, so
against the baseline and the anchor it is a theorem. The champion does depend on them, once one of the 365 nights has
promoted it. Such a champion looked good on these images, which makes it harder to pass against it, not easier. That is
the result of a simulation (`benchmarks/lifetime.py`), not a theorem. Not covered: people who read the verdicts and
change the network, the data or the policy until one passes; promotions by hand; test images that are not a random
sample of what the models will see.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from octavo.backends import model_files, predictor
from octavo.backends.registry import open_model
from octavo.data.duplicates import pixel_digests
from octavo.data.splits import Split, load_manifest, load_split
from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project import paths
from octavo.project.params.params import Params
from octavo.project.params.policy import Policy
from octavo.promotion import gate
from octavo.tasks.logits import CLASSIFICATION, NotFinite

NIGHTS = 365
"""The number of nights in a row for which the promise holds."""
FAVOURED, PART = 3, 0.75
"""This many variants each take this part of what is left of the night's share; the others share the rest equally. With
equal shares for all, none would have the power that the first one needs (`benchmarks/lifetime.py`).
"""


def confidences(scorecards: Scorecards, params: Params) -> dict[str, float]:
    """One-sided confidence with which each variant must show tonight that accuracy is kept.

    The order is that in which the variants are tried. Variants that fail whatever the test images say are left out. The
    result is empty if `nightly.false_promotions` is null.

    Raises:
        ModelError: a model file is missing.
        DataError: the selection split is missing.
    """
    chance = params.nightly.false_promotions
    if chance is None:
        return {}
    baseline = scorecards.card(params.baseline)
    others = [card for card in scorecards.scorecards if card is not baseline]
    cards = [
        card for card in others if all(reason.met for reason in gate.unseen_by_test(card, baseline, params.policy))
    ]
    right = on_selection([baseline.variant, *(card.variant for card in cards)]) if len(cards) > 1 else {}
    names = order(cards, params.policy, right, right.get(baseline.variant, 0.0))
    return {name: 1 - chance / NIGHTS * share for name, share in zip(names, shares(len(names)), strict=True)}


def shares(variants: int) -> list[float]:
    """The part of the night's level that each of so many variants may use. They add up to 1."""
    favoured = min(FAVOURED, max(0, variants - 1))
    others = variants - favoured
    first = [PART * (1 - PART) ** place for place in range(favoured)]
    return first + [(1 - PART) ** favoured / max(1, others)] * others


def order(cards: Sequence[Scorecard], policy: Policy, right: Mapping[str, float], baseline: float) -> list[str]:
    """The variants in the order in which they are tried.

    First come those that lose at most half the margin on the selection split, in the policy's order of preference. Then
    come the others, by their loss.

    Args:
        cards: scorecards of the variants.
        policy: its preference and its margin.
        right: variant -> accuracy on the selection split; empty if there is nothing to order.
        baseline: accuracy of the baseline on the selection split.
    """

    def key(card: Scorecard) -> tuple[float | str, ...]:
        accuracy = right.get(card.variant, 0.0)
        lost = baseline - accuracy
        preferred = (-accuracy if figure == "accuracy" else gate.PREFERENCES[figure](card) for figure in policy.prefer)
        return (lost if lost > policy.max_accuracy_drop / 2 else 0.0, *preferred, card.variant)

    return [card.variant for card in sorted(cards, key=key)]


def on_selection(variants: Sequence[str]) -> dict[str, float]:
    """Accuracy of each variant on the selection split, without images that are also in the test split.

    Raises:
        ModelError: a model file is missing.
        DataError: the selection split is missing.
    """
    split = _selection()
    return {variant: _right(variant, split) if len(split.labels) else 0.0 for variant in variants}


def said(sure: Mapping[str, float], params: Params) -> str:
    """One sentence: the confidence of this night, and that of a promotion by hand."""
    first = next(iter(sure))
    others = ", and the variants after it with more" if len(sure) > 1 else ""
    return (
        f"So that the chance of any false promotion in {NIGHTS} nights is at most "
        f"{params.nightly.false_promotions:.2g} (nightly.false_promotions), a night asks {first} to show with "
        f"{100 * sure[first]:.6g}% confidence that it keeps its accuracy{others}; octavo promote by hand asks for "
        f"{100 * params.policy.confidence:g}%."
    )


def _selection() -> Split:
    split = load_split(paths.split("selection"))
    if not load_manifest(paths.MANIFEST).duplicates.across.get("selection/test"):
        return split
    test = load_split(paths.split("test"))
    return split.take(~np.isin(pixel_digests(split.images), pixel_digests(test.images)))


def _right(variant: str, split: Split) -> float:
    try:
        logits = predictor.logits(open_model(model_files.path_of(variant)), split.images, variant)
        return CLASSIFICATION.summary(CLASSIFICATION.scores(logits, split.labels))
    except NotFinite:
        return 0.0
