"""The bill of materials of one variant: a CycloneDX ML-BOM in JSON with the model, its data and its libraries.

Specification: CycloneDX 1.6 (ECMA-424), whose `modelCard` follows Mitchell et al., Model Cards for Model Reporting,
FAT* 2019. The bill has no timestamp, and its serial number comes from its content: the same inputs give the same bytes.

cyclonedx-python-lib writes the bill. This module writes `modelCard` and `data`, which the library (11.12) lacks.
"""

import json
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from octavo.evaluation.scorecard import Scorecard, Scorecards
from octavo.project.params.params import Params
from octavo.project.schema import Interval
from octavo.promotion.decision import Decision
from octavo.reporting.documents import statements

Json = dict[str, Any]
MODEL = "model"
"""What the parts of the bill call the model."""


def bom(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> str:
    """The bill of one variant, as JSON. The same inputs give the same bytes.

    Args:
        card: the variant's scorecard.
        scorecards: of all variants.
        decision: of the gate.
        params: of the project.
    """
    model, data = _model(card, scorecards, params), _data(card, scorecards)
    content = _bill(model, [*data.values()], _libraries(card, scorecards))
    content["metadata"]["component"]["modelCard"] = _model_card(card, scorecards, decision, params) | _considerations(
        card, scorecards, decision, params
    )
    for part in content["components"]:
        if part["bom-ref"] in data:
            part["data"] = [{"type": "dataset", "name": part["name"], "description": part["description"]}]
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    return json.dumps(content | {"serialNumber": f"urn:uuid:{serial}"}, indent=1, ensure_ascii=False) + "\n"


def _bill(model: Component, data: Iterable[Component], libraries: Iterable[Component]) -> Json:
    """What cyclonedx-python-lib writes, but for the moment and the number that are others every time."""
    octavo = Component(type=ComponentType.APPLICATION, name="octavo", version=version("octavo"))
    metadata = BomMetaData(component=model, tools=ToolRepository(components=[octavo]))
    bill = Bom(metadata=metadata, components=[*data, *libraries])
    bill.register_dependency(model, libraries)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The Component this BOM is describing", UserWarning)  # no library is known
        content: Json = json.loads(JsonV1Dot6(bill).output_as_string())
    del content["serialNumber"], content["metadata"]["timestamp"]
    return content


def _model(card: Scorecard, scorecards: Scorecards, params: Params) -> Component:
    lineage = card.lineage.model_dump(exclude_none=True)
    facts = {"variant": card.variant, "recipe": card.recipe, "file": Path(card.model.path).name} | {
        f"lineage.{name}": value for name, value in lineage.items()
    }
    if card.interface:
        facts |= {f"session_option.{name}": value for name, value in card.interface.session_options.items()}
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=MODEL,
        name=params.registry.model,
        version=card.model.sha256[:12],
        description=statements.summary(card, scorecards),
        hashes=[_sha256(card.model.sha256)],
        licenses=[DisjunctiveLicense(name=params.registry.license)] if params.registry.license else [],
        properties=[Property(name=f"octavo:{name}", value=value) for name, value in facts.items()],
    )


def _model_card(card: Scorecard, scorecards: Scorecards, decision: Decision, params: Params) -> Json:
    parameters: Json = {
        "approach": {"type": "supervised"},
        "task": "image classification",
        "modelArchitecture": params.root(card.source).origin,
        "datasets": [{"ref": ref} for ref in _data(card, scorecards)],
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


def _data(card: Scorecard, scorecards: Scorecards) -> dict[str, Component]:
    """The splits by what the bill calls them, with digests; where the manifest is not here, all of the data as one."""
    source = str(scorecards.data.get("source", "data"))
    splits: Mapping[str, Json] = scorecards.data.get("splits", {})
    if not splits:
        return {"data": _dataset("data", source, card.lineage.data, "All splits.")}
    return {
        (ref := f"data:{name}"): _dataset(
            ref, f"{source}, {name}", split["images_sha256"], f"{split['n']} images; hash of the pixels."
        )
        for name, split in splits.items()
    }


def _dataset(ref: str, name: str, sha256: str, description: str) -> Component:
    hashes = [_sha256(sha256)]
    return Component(type=ComponentType.DATA, bom_ref=ref, name=name, description=description, hashes=hashes)


def _libraries(card: Scorecard, scorecards: Scorecards) -> list[Component]:
    versions = statements.libraries(card, scorecards.machine)
    urls = {name: PackageURL("pypi", name=name, version=number) for name, number in versions.items()}
    return [Component(bom_ref=str(url), name=name, version=versions[name], purl=url) for name, url in urls.items()]


def _metric(kind: str, value: float | None, part: str | None = None, interval: Interval | None = None) -> Json:
    metric: Json = {"type": kind, "value": "unknown" if value is None else str(value)}
    if part:
        metric["slice"] = part
    if interval:
        metric["confidenceInterval"] = {"lowerBound": str(interval[0]), "upperBound": str(interval[1])}
    return metric


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
