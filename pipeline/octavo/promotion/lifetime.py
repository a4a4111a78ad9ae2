"""How sure a night must be, so that a year of nights on one test set promotes nothing by luck.

A promotion is false where the variant's true accuracy is lower by the margin or more than that of a model it is judged
beside: the baseline, the champion or the anchor. It has to pass beside each, so the chance that a false one passes is
at most the level of one test (R. L. Berger, Multiparameter hypothesis testing and acceptance sampling, Technometrics 24
(1982), 295-300). What is left to count are nights and variants. Their levels add up to `nightly.false_promotions` over
365 nights. By Bonferroni's inequality, the chance that any of these nights promotes falsely is no larger.

The inequality asks nothing of how models resemble each other, nor of how test sets do: it holds where all nights judge
by the same images, and where the images change. So there is no account to keep, and new data begin nothing anew: the
promise is for any 365 nights in a row. Nights that build nothing test nothing new, and only make it safer.

Each night has the same share. Within a night the first variant has three quarters of it, the next three quarters of
what is left, and so on; from the fourth on they share alike. Bonferroni's inequality holds for any such weights that
are chosen without the test images (C. R. Genovese, K. Roeder and L. Wasserman, False discovery control with p-value
weighting, Biometrika 93 (2006), 509-524; to choose on one part of the data what is tested on the other: D. R. Cox, A
note on data-dependent selection of hypotheses, Biometrika 62 (1975), 441-444). The order is that of `policy.prefer`.
Accuracy, and whether a variant looks worse than the baseline, come from the selection split. What fails by bytes, time
or integers has no share. The first in this order that passes is promoted.

What this covers: models and their order must not depend on the test images. Those of a night do not, so beside the
baseline and the anchor it is a theorem. The champion does depend on them, once one of the 365 nights has promoted it.
Such a champion is one that looked good on these images, which makes it harder to pass beside it, not easier; but that
is what `benchmarks/lifetime.py` counted, and no theorem. Not covered: people who read the verdicts and change the
network, the data or the policy until one passes; promotions by hand; test images that are no random sample of what the
models will see.
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
"""For so many in a row the promise is given."""
FAVOURED, PART = 3, 0.75
"""So many variants take this part each of what is left of the night's share; those behind them share the rest alike.
Equal shares would leave none with the power that the first needs (`benchmarks/lifetime.py`)."""


def confidences(scorecards: Scorecards, params: Params) -> dict[str, float]:
    """One-sided confidences with which variants must show tonight that accuracy is kept, by variant.

    They stand in the order in which the variants are to be tried. Variants that fail whatever test images say are left
    out, and all are where `nightly.false_promotions` is null.

    Raises:
        ModelError: a model file is missing.
        DataError: the selection split is.
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
    """What each of so many variants may spend of the night's level; in all 1."""
    favoured = min(FAVOURED, max(0, variants - 1))
    others = variants - favoured
    first = [PART * (1 - PART) ** place for place in range(favoured)]
    return first + [(1 - PART) ** favoured / max(1, others)] * others


def order(cards: Sequence[Scorecard], policy: Policy, right: Mapping[str, float], baseline: float) -> list[str]:
    """The variants in the order in which they are to be tried.

    Those come first that lose at most half the margin on the selection split, as the policy prefers; then the others,
    by what they lose.

    Args:
        cards: of the variants.
        policy: what it prefers, and the margin.
        right: variant -> share of the selection images that it is right on; empty where there is nothing to order.
        baseline: share that the baseline is right on.
    """

    def key(card: Scorecard) -> tuple[float | str, ...]:
        accuracy = right.get(card.variant, 0.0)
        lost = baseline - accuracy
        preferred = (-accuracy if figure == "accuracy" else gate.PREFERENCES[figure](card) for figure in policy.prefer)
        return (lost if lost > policy.max_accuracy_drop / 2 else 0.0, *preferred, card.variant)

    return [card.variant for card in sorted(cards, key=key)]


def on_selection(variants: Sequence[str]) -> dict[str, float]:
    """Share of the selection images, those left out that the test split has too, that each variant is right on.

    Raises:
        ModelError: a model file is missing.
        DataError: the selection split is.
    """
    split = _selection()
    return {variant: _right(variant, split) if len(split.labels) else 0.0 for variant in variants}


def said(sure: Mapping[str, float], params: Params) -> str:
    """What a night asked for, and what a promotion by hand would, in a sentence."""
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
