"""The documents beside a model file: its scorecard, its model card and its bill of materials."""

import json

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.params import Params
from octavo.promotion.decision import Decision
from octavo.reporting.documents.cyclonedx import bom
from octavo.reporting.documents.model_card import model_card

SCORECARD = "scorecard.json"
MODEL_CARD = "model_card.md"
BOM = "bom.cdx.json"
NAMES = (SCORECARD, MODEL_CARD, BOM)


def cards(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> dict[str, str]:
    """The documents by file name. The same inputs give the same texts.

    Args:
        card: the variant's scorecard.
        scorecards: of all variants.
        decision: of the gate.
        params: of the project.

    Raises:
        ParamsError: the variant is not in `params.yaml`.
    """
    return {
        SCORECARD: json.dumps(card.model_dump(mode="json"), indent=1) + "\n",
        MODEL_CARD: model_card(card, scorecards, decision, params),
        BOM: bom(card, scorecards, decision, params),
    }
