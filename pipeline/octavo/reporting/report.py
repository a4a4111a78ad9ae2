"""Write the results of one `dvc repro` for people and for tools: JSON, metrics, plot data and one page."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octavo.backends import registry
from octavo.backends.records import Acceptance
from octavo.evaluation.scorecard import Scorecards
from octavo.project import paths
from octavo.project.errors import ModelError
from octavo.project.files import atomic_write
from octavo.project.files.atomic_write import write_text
from octavo.project.params.params import Params
from octavo.promotion.decision import Decision
from octavo.reporting import equal_outputs, variants_table
from octavo.reporting.figures.curves import History, curves
from octavo.reporting.figures.intervals import intervals
from octavo.reporting.figures.scatter import scatter
from octavo.reporting.figures.svg import templates

_CURVE = ("epoch", "accuracy", "val_accuracy", "loss", "val_loss")
_TRIAL = ("agreement", "accuracy", "sqnr_db", "file_bytes")
HEATMAP_CLASSES = 25
"""With more classes a confusion matrix is not readable, and the page leaves it out."""


def write_project(scorecards: Scorecards, decision: Decision, params: Params) -> None:
    """Write the report of the project in the working directory; for its files see `write`.

    Args:
        scorecards: of all variants.
        decision: of the gate on them.
        params: of the project; they name the networks and variants whose curves and trials are shown.

    Raises:
        ModelError: the CSV file of a curve or of trials is damaged.
    """
    curves = {name: paths.curve(name) for name in (*params.networks, *params.finetuned)}
    trials = {name: paths.trials(name) for name in params.variants}
    parents = {name: network.parent for name, network in params.finetuned.items()}
    write(scorecards, decision, curves, trials, parents)


def write(
    scorecards: Scorecards,
    decision: Decision,
    trainings: Mapping[str, Path],
    searches: Mapping[str, Path],
    parents: Mapping[str, str],
) -> None:
    """Write every file of the report atomically. The same inputs give the same bytes.

    Args:
        scorecards: of all variants.
        decision: of the gate.
        trainings: network -> CSV of its training; missing files are left out.
        searches: variant -> CSV of its trials; missing files are left out.
        parents: fine-tuned network -> the network that it started from.

    Raises:
        ModelError: one of the CSV files is damaged.
    """
    histories = {network: _history(path) for network, path in trainings.items() if path.exists()}
    trials = tables(searches)
    written = {
        paths.SCORECARDS: scorecards.model_dump_json(by_alias=True, indent=2),
        paths.DECISION: decision.model_dump_json(indent=2),
        paths.METRICS: json.dumps(metrics(scorecards), indent=2),
        paths.TRADEOFF: tradeoff(scorecards),
        paths.CURVES: _csv("network", _CURVE, histories),
        paths.TRIALS_TRIED: _csv("variant", _TRIAL, trials),
        paths.REPORT: page(scorecards, decision, histories, trials, parents),
    }
    for path, text in written.items():
        write_text(path, text.rstrip("\n") + "\n")


def tables(files: Mapping[str, Path]) -> dict[str, list[dict[str, str]]]:
    """Variant -> the rows of its CSV. Missing files are left out.

    Raises:
        ModelError: one of the files is damaged.
    """
    return {variant: _rows(path) for variant, path in files.items() if path.exists()}


def metrics(scorecards: Scorecards) -> dict[str, dict[str, float]]:
    """The figures of `dvc metrics show` and `diff`, by variant. A refused variant has `refused` 1."""
    measured = {
        card.variant: {
            "accuracy": card.quality.top1,
            "size_bytes": card.size.file_bytes,
            "latency_us": card.latency.batches["1"].p50_us,
            "size_ratio": card.size.ratio,
            "latency_ratio": card.latency.batches["1"].ratio,
            "agreement": card.quality.vs_baseline.agreement,
        }
        | _sqnr(card.acceptance)
        for card in scorecards.scorecards
    }
    return measured | {name: {"refused": 1} | _sqnr(each.acceptance) for name, each in scorecards.refused.items()}


def _sqnr(acceptance: Acceptance | None) -> dict[str, float]:
    return {"sqnr_db": acceptance.sqnr_db} if acceptance else {}


def tradeoff(scorecards: Scorecards) -> str:
    """The CSV of the plot of accuracy against latency, for the variants that have a model."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("variant", "format", "accuracy", "latency_us", "size_bytes"))
    for card in scorecards.scorecards:
        latency = card.latency.batches["1"].p50_us
        rows.writerow((card.variant, card.format, card.quality.top1, latency, card.size.file_bytes))
    return out.getvalue()


def page(
    scorecards: Scorecards,
    decision: Decision,
    histories: Mapping[str, History],
    trials: Mapping[str, Sequence[Mapping[str, str]]],
    parents: Mapping[str, str],
    advice: str = "",
) -> str:
    """The report as one HTML page without references to other files.

    Args:
        scorecards: of all variants.
        decision: of the gate.
        histories: network -> its training by epoch.
        trials: variant -> the rows of its search.
        parents: fine-tuned network -> the network that it started from.
        advice: what to ship, as sentences; empty if nobody gave any.
    """
    rows = variants_table.table(scorecards, decision)
    refused = variants_table.refused(scorecards)
    return (
        templates()
        .get_template("report.html.j2")
        .render(
            scorecards=scorecards,
            decision=decision,
            headers=variants_table.headers(decision),
            advice=advice,
            measured_on=scorecards.data.get("compared_on", "calibration"),
            warnings=variants_table.warnings(decision),
            notes=[
                *variants_table.gains(rows),
                *equal_outputs.lines(scorecards),
                *variants_table.findings([*rows, *refused]),
            ],
            rows=[(row, variants_table.cells(row)) for row in rows],
            refused=[(line, variants_table.cells(line)) for line in refused],
            winner=next((row for row in rows if row.winner), None),
            outputs=variants_table.outputs,
            comparisons=equal_outputs.comparisons,
            data=_data(scorecards),
            classes=scorecards.classes,
            heatmap_classes=HEATMAP_CLASSES,
            scatter=scatter(scorecards),
            formats=[registry.named(name) for name in dict.fromkeys(card.format for card in scorecards.scorecards)],
            intervals=intervals(scorecards, decision),
            curves=curves(histories, parents),
            trials=trials,
        )
    )


def _csv(key: str, columns: Sequence[str], tables: Mapping[str, Sequence[Mapping[str, object]]]) -> str:
    """Several tables as one CSV, with a first column `key` that says which table a row is of."""
    out = io.StringIO()
    rows = csv.DictWriter(out, (key, *columns), restval="", extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    rows.writerows({key: name, **row} for name, table in tables.items() for row in table)
    return out.getvalue()


def _data(scorecards: Scorecards) -> dict[str, Any]:
    """The description of the data, without the histograms that drift is judged by."""
    splits = scorecards.data.get("splits", {})
    shown = {name: {key: value for key, value in split.items() if key != "pixels"} for name, split in splits.items()}
    return scorecards.data | ({"splits": shown} if shown else {})


def _history(path: Path) -> History:
    try:
        return [{name: float(value) for name, value in row.items() if value} for row in _rows(path)]
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} is not what training writes ({error}). Run dvc repro.") from None


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(io.StringIO(atomic_write.content(path).decode("utf-8"), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path} is not the table that its stage writes ({error}). Run dvc repro.") from None
