"""Combine evaluations and benchmark into scorecards, and add the lineage: data, params, git and DVC."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from pydantic import Field

from octavo.backends import acceptance_record
from octavo.backends.records import Latency, Refusal
from octavo.evaluation import twins
from octavo.evaluation.scorecard import Evaluation, Latencies, Lineage, Scorecard, Scorecards
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.files import json_file, npy_file, yaml_file
from octavo.project.git.revision import digest, git_commit, lock_digest
from octavo.project.params.params import PARAMS, Params
from octavo.project.params.variants import VARIANT_NAME
from octavo.project.schema import Record

__all__ = ["assemble", "digest"]

MACHINE_DIGITS = 12
"""Length of the machine's digest in scorecards: enough to distinguish machines."""
WRITER = "a record of its stage"


class BenchmarkRecord(Record):
    """`benchmark.json`."""

    machine: dict[str, Any]
    models: dict[str, str]
    """Variant -> SHA-256 of the model that was timed."""
    threads: int
    latency: dict[str, dict[str, Latency]]
    """Variant -> batch size -> latency."""
    refused: dict[str, str] = Field(default_factory=dict)
    """Variant -> why it was not timed."""


class DataDigest(Record, extra="allow"):
    """The data manifest. Only its digest is needed here."""

    digest: str


def assemble(params: Params) -> Scorecards:
    """The scorecards of all variants, in the order of `params.yaml`.

    Raises:
        ModelError: a measurement is missing or unreadable, or different files were timed and evaluated.
    """
    benchmark = json_file.read_output(paths.BENCHMARK, BenchmarkRecord, WRITER)
    manifest = json_file.read_output(paths.MANIFEST, DataDigest, WRITER)
    lineage = Lineage(
        git=git_commit(),
        dvc_lock=lock_digest(),
        data=manifest.digest,
        params=digest(yaml_file.read(PARAMS)),
    )
    found = {name: _evaluated(name, benchmark) for name in params.variants}
    measured = {name: each for name, each in found.items() if isinstance(each, Evaluation)}
    cards = [_scorecard(name, measured, params, benchmark, lineage) for name in measured]
    models = sorted((card.variant, card.model.sha256) for card in cards)
    return Scorecards(
        pipeline=digest({"models": models, "data": lineage.data, "params": lineage.params}),
        machine=benchmark.machine,
        data=manifest.model_dump(mode="json"),
        scorecards=cards,
        refused={name: each for name, each in found.items() if isinstance(each, Refusal)},
    )


def _evaluated(name: str, benchmark: BenchmarkRecord) -> Evaluation | Refusal:
    """What `evaluate` wrote about a variant. A variant that the benchmark refused is refused here too."""
    if name in benchmark.refused:
        return Refusal(cause="not finite", reason=benchmark.refused[name], remedy=acceptance_record.FINITE)
    path = paths.card(name)
    with suppress(FileNotFoundError, json_file.Unreadable):
        return json_file.read_record(path, Refusal)
    return json_file.read_output(path, Evaluation, WRITER)


def _scorecard(
    name: str, measured: Mapping[str, Evaluation], params: Params, benchmark: BenchmarkRecord, lineage: Lineage
) -> Scorecard:
    grammar = VARIANT_NAME.fullmatch(name)
    assert grammar, f"params.yaml was read with a variant named '{name}'"
    if name not in benchmark.latency:
        raise ModelError(f"{paths.BENCHMARK} has no latency of '{name}'. Run dvc repro.")
    evaluation = measured[name]
    if benchmark.models.get(name) != evaluation.model.sha256:
        raise ModelError(f"The file of '{name}' that was timed is not the one that was evaluated. Run dvc repro.")
    variant = params.variant(name)
    return Scorecard(
        variant=name,
        source=variant.source,
        recipe=variant.recipe,
        format=grammar["format"],
        precision=grammar["precision"],
        method=grammar["method"],
        model=evaluation.model,
        quality=evaluation.quality,
        size=evaluation.size,
        latency=Latencies(
            threads=benchmark.threads,
            batches=benchmark.latency[name],
            machine=digest(benchmark.machine)[:MACHINE_DIGITS],
        ),
        proof=evaluation.proof,
        acceptance=evaluation.acceptance,
        parity=evaluation.parity | twins.beside_twins(name, measured, _logits),
        interface=evaluation.interface,
        layer_sqnr_db=evaluation.layer_sqnr_db,
        lineage=lineage,
        notes=evaluation.notes,
    )


def _logits(name: str) -> np.ndarray:
    try:
        return npy_file.read(paths.logits(name))
    except (FileNotFoundError, npy_file.UnreadableArray) as error:
        raise ModelError(f"Cannot read {paths.logits(name)} ({error}). Run dvc repro.") from None
