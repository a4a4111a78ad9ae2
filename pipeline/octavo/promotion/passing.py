"""Which variants pass beside the baseline, and in what words a promotion is refused."""

from collections.abc import Mapping, Sequence

from octavo.evaluation.scorecard import Scorecards, load_scorecards
from octavo.project import paths
from octavo.project.errors import PromotionRefused
from octavo.project.params.params import PARAMS, load_params
from octavo.promotion import gate
from octavo.promotion.decision import Decision, Verdict


def require(variant: str | None) -> None:
    """Refuse a promotion that this project's scorecards already rule out, before MLflow is imported and asked.

    Args:
        variant: to promote; None for the best one that passes.

    Raises:
        PromotionRefused: the variant, or every variant, fails beside the baseline.
        ModelError: the variant was not measured.
    """
    params, scorecards = load_params(), load_scorecards(paths.SCORECARDS)
    decision = gate.decide(scorecards, params.policy, params.baseline)
    if variant is None:
        judged = () if in_order(scorecards, decision) else decision.verdicts
    else:
        name = scorecards.card(variant).variant
        verdict = decision.verdict(name) or Verdict(variant=name, verdict="fail", reasons=())
        judged = () if verdict.verdict == "pass" else (verdict,)
    if judged:
        raise PromotionRefused(why_not(judged, scorecards, decision))


def in_order(scorecards: Scorecards, decision: Decision, sure: Mapping[str, float] = gate.NOT_SURER) -> list[str]:
    """The variants that pass beside the baseline, the best first.

    Args:
        scorecards: of the variants.
        decision: on them.
        sure: as for `gate.decide`. A night has its own order, that of `sure`, which does not depend on test images.
    """
    passing = gate.ranking(scorecards, decision)
    return [name for name in sure if name in passing] if sure else passing


def why_not(
    judged: Sequence[Verdict], scorecards: Scorecards, decision: Decision, sure: Mapping[str, float] = gate.NOT_SURER
) -> str:
    """Why nothing is promoted: one sentence per judged variant, then what would pass.

    Args:
        judged: the verdicts that refuse; empty if no variant was judged, because those that pass were rolled back.
        scorecards: of the variants.
        decision: on them, beside the baseline.
        sure: as for `in_order`.
    """
    passing = in_order(scorecards, decision, sure)
    left = judged or (() if passing else decision.verdicts)
    lines = [f"{verdict.variant} is not promoted, {_found(verdict)}" for verdict in left]
    if not lines:
        lines = ["Nothing is promoted: what passes was rolled back before. Name a variant to promote it again."]
    limits = f"The limits are `policy` in {PARAMS}; after a change run dvc repro."
    return " ".join(["\n".join(lines), f"Passing beside the baseline: {', '.join(passing) or 'none'}.", limits])


def _found(verdict: Verdict) -> str:
    if verdict.refused:
        return f"it is refused: {verdict.refused}"
    if not verdict.unmet:
        return "it has no verdict, as the baseline never has."
    return f"the verdict is {verdict.verdict}: {'; '.join(map(str, verdict.unmet))}."
