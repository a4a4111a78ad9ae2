"""The bill of materials of one variant, as machines read it: a CycloneDX ML-BOM with the model, data and libraries.

Specification: CycloneDX 1.6 (ECMA-424), whose `modelCard` follows Mitchell et al., Model Cards for Model Reporting,
FAT* 2019. It has no timestamp, and its serial number comes from its content: the same inputs give the same bytes.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.params import Params
from octavo.project.schema import Interval
from octavo.promotion.decision import Decision
from octavo.reporting.documents import statements

Json = dict[str, Any]
MODEL = "model"
"""What the parts of the bill call the model."""


def bom(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> str:
    """The bill of `card` among all scorecards and the decision on them, as JSON."""
    data, libraries = _data(card, scorecards), _libraries(card, scorecards)
    model = _model(card, params) | {
        "description": statements.summary(card, scorecards),
        "modelCard": _model_card(card, scorecards, decision, params)
        | _considerations(card, scorecards, decision, params),
    }
    needed = [library["bom-ref"] for library in libraries]
    content: Json = {
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "octavo", "version": version("octavo")}]},
            "component": model,
        },
        "components": [*data, *libraries],
        "dependencies": [{"ref": MODEL, "dependsOn": needed}, *({"ref": ref} for ref in needed)],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}"}
    return json.dumps(head | content, indent=1, ensure_ascii=False) + "\n"


def _model(card: Scorecard, params: Params) -> Json:
    lineage = card.lineage.model_dump(exclude_none=True)
    facts = {"variant": card.variant, "recipe": card.recipe, "file": Path(card.model.path).name} | {
        f"lineage.{name}": value for name, value in lineage.items()
    }
    if card.interface:
        facts |= {f"session_option.{name}": value for name, value in card.interface.session_options.items()}
    model: Json = {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": params.registry.model,
        "version": card.model.sha256[:12],
        "hashes": [_sha256(card.model.sha256)],
        "properties": [{"name": f"octavo:{name}", "value": value} for name, value in facts.items()],
    }
    if params.registry.license:
        model["licenses"] = [{"license": {"name": params.registry.license}}]
    return model


def _model_card(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> Json:
    parameters: Json = {
        "approach": {"type": "supervised"},
        "task": "image classification",
        "modelArchitecture": params.built(card.source).build,
        "datasets": [{"ref": part["bom-ref"]} for part in _data(card, scorecards)],
    }
    if card.interface:
        parameters |= {
            "inputs": [{"format": str(card.interface.input)}],
            "outputs": [{"format": str(card.interface.output)}],
        }
    metrics = [*_quality(card, scorecards, decision), *_cost(card, scorecards), *_proof(card)]
    return {"modelParameters": parameters, "quantitativeAnalysis": {"performanceMetrics": metrics}}


def _quality(card: Scorecard, scorecards: Scorecards, decision: Decision) -> Iterator[Json]:
    quality = card.quality
    yield _metric("accuracy", quality.top1, f"test, {quality.n} images", quality.ci95)
    for name, recall in zip(scorecards.classes, quality.per_class_recall, strict=True):
        yield _metric("recall", recall, f"test, class {name}")
    judged = decision.verdict(card.variant)
    if judged:
        beside = f"test, beside {decision.baseline}"
        bounds = judged.accuracy_bounds or quality.vs_baseline.ci
        yield _metric("accuracy difference", quality.vs_baseline.delta, beside, bounds)
        yield _metric("agreement", quality.vs_baseline.agreement, beside)


def _cost(card: Scorecard, scorecards: Scorecards) -> Iterator[Json]:
    yield _metric("size, bytes", card.size.file_bytes)
    for batch, latency in card.latency.batches.items():
        where = f"{batch} images a call, {card.latency.threads} threads, {scorecards.machine.get('cpu', 'one machine')}"
        yield _metric("median latency, µs", latency.p50_us, where)
        yield _metric("latency ratio to the baseline", latency.ratio, where, latency.ratio_ci95)


def _proof(card: Scorecard) -> Iterator[Json]:
    yield _metric("share of weights stored as integers", card.proof.integer_weight_share)
    yield _metric("share of multiply-accumulates in integer kernels", card.proof.integer_compute_share)
    if card.acceptance:
        yield _metric("signal to quantization noise, dB", card.acceptance.sqnr_db, "outputs")
    for layer, decibels in card.layer_sqnr_db.items():
        yield _metric("signal to quantization noise, dB", decibels, f"layer {layer}")


def _considerations(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> Json:
    found: dict[str, list[str]] = {"technicalLimitations": statements.limits(card, scorecards, decision)}
    if params.registry.intended_use:
        found["useCases"] = [params.registry.intended_use]
    if tradeoff := statements.tradeoff(card, decision):
        found["performanceTradeoffs"] = [tradeoff]
    return {"considerations": found}


def _data(card: Scorecard, scorecards: Scorecards) -> list[Json]:
    """The splits by their digests; where the manifest is not here, all of the data by one."""
    source = str(scorecards.data.get("source", "data"))
    splits: Mapping[str, Json] = scorecards.data.get("splits", {})
    if not splits:
        return [_dataset("data", source, card.lineage.data, "All splits.")]
    return [
        _dataset(
            f"data:{name}", f"{source}, {name}", split["images_sha256"], f"{split['n']} images; hash of the pixels."
        )
        for name, split in splits.items()
    ]


def _dataset(ref: str, name: str, sha256: str, description: str) -> Json:
    return {
        "type": "data",
        "bom-ref": ref,
        "name": name,
        "hashes": [_sha256(sha256)],
        "data": [{"type": "dataset", "name": name, "description": description}],
    }


def _libraries(card: Scorecard, scorecards: Scorecards) -> list[Json]:
    return [
        {"type": "library", "bom-ref": f"pkg:pypi/{name}@{number}", "name": name, "version": number}
        | {"purl": f"pkg:pypi/{name}@{number}"}
        for name, number in statements.libraries(card, scorecards.machine).items()
    ]


def _metric(kind: str, value: float | None, part: str | None = None, interval: Interval | None = None) -> Json:
    metric: Json = {"type": kind, "value": "unknown" if value is None else str(value)}
    if part:
        metric["slice"] = part
    if interval:
        metric["confidenceInterval"] = {"lowerBound": str(interval[0]), "upperBound": str(interval[1])}
    return metric


def _sha256(digest: str) -> Json:
    return {"alg": "SHA-256", "content": digest}
