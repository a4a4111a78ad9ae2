"""A scorecard as MLflow's metrics, parameters and tags, and the digest that identifies it."""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from octavo.evaluation.scorecard import Scorecard
from octavo.promotion.decision import Decision

DIGEST = "octavo.digest"
SHA256 = "model.sha256"
VARIANT = "variant"
FOLDER = "octavo.folder"
"""Tag of a version: one digest over all files of its model, taken at registration."""
MAJORITY = "baseline.beats_majority"
"""Whether the baseline is shown to be better than the constant answer: `yes` or `no`."""
UNKNOWN = "unknown"
VERDICT = "verdict"
"""Depends on the policy. It is therefore not part of the digest, and a version is not checked against it."""
CHANGING = ("git", "dvc_lock", "params")
"""Fields of the lineage that can change while every figure stays the same."""
LATER = ("acceptance",)
"""Figures that earlier releases did not have. Scorecards without them keep the digest they were registered with."""


def digest(card: Scorecard) -> str:
    """The digest of model and figures. It is the key of a variant in MLflow.

    Commit, lock and parameters are left out. They say where the figures were measured, and they can change while every
    figure stays the same, for example after an edit of a report's layout.
    """
    return digest_of(card.model_dump(mode="json"))


def digest_of(scorecard: Mapping[str, Any]) -> str:
    """The digest of a scorecard as written by this or an earlier release."""
    scorecard = {name: value for name, value in scorecard.items() if name not in LATER or value is not None}
    lineage = {name: value for name, value in scorecard["lineage"].items() if name not in CHANGING}
    return hashlib.sha256(json.dumps({**scorecard, "lineage": lineage}, sort_keys=True).encode()).hexdigest()


def metrics(card: Scorecard) -> dict[str, float]:
    """The figures for comparing variants. Those of batch 1 have the plain names.

    Shares and ratios are rounded to four decimals, microseconds to one. Shares are rounded down, so that only a fully
    integer model shows 1. An unknown share is left out here and named by `tags`.
    """
    figures: dict[str, float] = {
        "accuracy": round(card.quality.top1, 4),
        "accuracy_delta": round(card.quality.vs_baseline.delta, 4),
        "agreement": round(card.quality.vs_baseline.agreement, 4),
        "size_bytes": card.size.file_bytes,
        "size_ratio": round(card.size.ratio, 4),
    }
    figures |= {
        name: math.floor(share * 1e4) / 1e4 for name, share in _integer_shares(card).items() if share is not None
    }
    if card.acceptance:
        figures["sqnr_db"] = card.acceptance.sqnr_db
    for batch, latency in card.latency.batches.items():
        suffix = "" if batch == "1" else f"_batch_{batch}"
        figures[f"latency_us{suffix}"] = round(latency.p50_us, 1)
        figures[f"latency_ratio{suffix}"] = round(latency.ratio, 4)
    return figures


def params(card: Scorecard, options: Mapping[str, Any]) -> dict[str, str]:
    """What the variant was made of. Each option of the recipe is a parameter of its own."""
    made = {name: getattr(card, name) for name in ("source", "recipe", "format", "precision", "method")}
    made |= {f"options.{name}": value for name, value in options.items()}
    return {name: str(value) for name, value in made.items() if value is not None}


def tags(card: Scorecard) -> dict[str, str]:
    """The tags of the variant's run and version: its identity, and which of its shares are unknown."""
    unknown = {name: UNKNOWN for name, share in _integer_shares(card).items() if share is None}
    return {VARIANT: card.variant, DIGEST: digest(card), SHA256: card.model.sha256} | unknown


def version_tags(card: Scorecard) -> dict[str, str]:
    """Identity and figures. Open-source MLflow shows a version's tags but not the metrics of its run."""
    return tags(card) | {name: str(value) for name, value in metrics(card).items()}


def judged(card: Scorecard, decision: Decision) -> dict[str, str]:
    """The tags that follow from the policy, for the variant's run and version."""
    tags = {VERDICT: verdict(card, decision)}
    return tags | ({MAJORITY: "yes" if decision.majority.beaten else "no"} if decision.majority else {})


def _integer_shares(card: Scorecard) -> dict[str, float | None]:
    proof = card.proof
    return {
        "integer_weight_share": proof.integer_weight_share,
        "integer_compute_share": proof.integer_compute_share,
    }


def verdict(card: Scorecard, decision: Decision) -> str:
    """The policy's verdict on the variant, or `baseline` for the baseline, which is not judged."""
    judged = decision.verdict(card.variant)
    return judged.verdict if judged else "baseline"
