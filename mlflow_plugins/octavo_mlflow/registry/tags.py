"""One scorecard in MLflow's terms: what is measured, what it was made of, and the digest of both."""

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
"""Tag of a version: one digest of all files of its model, as it was registered."""
MAJORITY = "baseline.beats_majority"
"""Whether the baseline is shown to be better than the constant answer: `yes` or `no`."""
UNKNOWN = "unknown"
VERDICT = "verdict"
"""Changes with the policy, and so it is neither part of the digest nor of what a version is held to."""
CHANGING = ("git", "dvc_lock", "params")
"""Of a lineage, what changes without any figure changing."""
LATER = ("acceptance",)
"""Figures that earlier releases did not have: their scorecards keep the digest that they were registered under."""


def digest(card: Scorecard) -> str:
    """Which model and which figures: the key under which a variant stands in MLflow.

    The commit, the lock and the parameters are left out. They say where the figures were taken, and change without
    any figure changing, when a report's layout is edited for example.
    """
    return digest_of(card.model_dump(mode="json"))


def digest_of(scorecard: Mapping[str, Any]) -> str:
    """The digest of a scorecard as it was written, whatever release wrote it."""
    scorecard = {name: value for name, value in scorecard.items() if name not in LATER or value is not None}
    lineage = {name: value for name, value in scorecard["lineage"].items() if name not in CHANGING}
    return hashlib.sha256(json.dumps({**scorecard, "lineage": lineage}, sort_keys=True).encode()).hexdigest()


def metrics(card: Scorecard) -> dict[str, float]:
    """The figures to compare variants by, as people read them; those of batch 1 have the plain names.

    Shares and ratios have four decimals, microseconds one, and what is not all integer is not rounded up to that. A
    share that is unknown is no metric: `tags` says so.
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
    """What the variant was made of; each of the recipe's options is a parameter of its own."""
    made = {name: getattr(card, name) for name in ("source", "recipe", "format", "precision", "method")}
    made |= {f"options.{name}": value for name, value in options.items()}
    return {name: str(value) for name, value in made.items() if value is not None}


def tags(card: Scorecard) -> dict[str, str]:
    """What identifies the variant, on its run as on its version, and which of its shares are unknown."""
    unknown = {name: UNKNOWN for name, share in _integer_shares(card).items() if share is None}
    return {VARIANT: card.variant, DIGEST: digest(card), SHA256: card.model.sha256} | unknown


def version_tags(card: Scorecard) -> dict[str, str]:
    """Identity and figures: open-source MLflow shows a version's tags, but none of its run's metrics."""
    return tags(card) | {name: str(value) for name, value in metrics(card).items()}


def judged(card: Scorecard, decision: Decision) -> dict[str, str]:
    """The tags that follow from the policy, on its run as on its version."""
    tags = {VERDICT: verdict(card, decision)}
    return tags | ({MAJORITY: "yes" if decision.majority.beaten else "no"} if decision.majority else {})


def _integer_shares(card: Scorecard) -> dict[str, float | None]:
    proof = card.proof
    return {
        "integer_weight_share": proof.integer_weight_share,
        "integer_compute_share": proof.integer_compute_share,
    }


def verdict(card: Scorecard, decision: Decision) -> str:
    """How the policy judged the variant, or that it is the baseline, which it does not judge."""
    judged = decision.verdict(card.variant)
    return judged.verdict if judged else "baseline"
