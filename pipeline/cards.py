"""What goes beside a model file wherever the file goes: its scorecard, its model card and its bill of materials."""

import json

from pipeline.bom import bom
from pipeline.decision import Decision
from pipeline.model_card import model_card
from pipeline.params import Params
from pipeline.scorecard import Scorecard, Scorecards

SCORECARD = "scorecard.json"
MODEL_CARD = "model_card.md"
BOM = "bom.cdx.json"
NAMES = (SCORECARD, MODEL_CARD, BOM)


def cards(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> dict[str, str]:
    """The texts by file name; the same inputs give the same texts.

    Raises:
        ParamsError: the variant is not in `params.yaml`.
    """
    return {
        SCORECARD: json.dumps(card.model_dump(mode="json"), indent=1) + "\n",
        MODEL_CARD: model_card(card, scorecards, decision, params),
        BOM: bom(card, scorecards, decision, params),
    }
