"""`octavo compare`: the variants table on a terminal, as JSON or as Markdown."""

import json
import sys
from collections.abc import Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table

from octavo.evaluation.scorecard import load_scorecards
from octavo.project import paths
from octavo.project.git import projects
from octavo.promotion.decision import Decision, load_decision
from octavo.reporting import equal_outputs, variants_table
from octavo.reporting.variants_table import HEADERS, VariantLine, cells, findings, gains, refused, table, warnings

STYLES = {"pass": "green", "fail": "red", "underpowered": "yellow", "refused": "red", "baseline": "dim"}
NO_LABELS = "The data have no labels: the answers of {} take their place. Nothing here says how often they are right."
UNBOUNDED = 1000
"""Columns; wider than any table."""


@click.command()
@click.option("--json", "form", flag_value="json", help="Print JSON, with every figure unrounded.")
@click.option("--markdown", "form", flag_value="markdown", help="Print a Markdown table.")
def command(form: str | None) -> None:
    """Show every variant's accuracy, size, latency and verdict."""
    if not paths.REPORTS.exists():
        projects.require()
    scorecards, decision = load_scorecards(paths.SCORECARDS), load_decision(paths.DECISION)
    rows = [*table(scorecards, decision), *refused(scorecards)]
    if form == "json":
        click.echo(as_json(rows, decision))
    elif form == "markdown":
        click.echo("\n\n".join([as_markdown(rows), *warnings(decision)]))
    else:
        show(rows, decision, equal_outputs.lines(scorecards))


def as_json(rows: Sequence[VariantLine], decision: Decision) -> str:
    """JSON of the winner, the baseline, its comparison with the majority class, and the rows, not rounded."""
    found = decision.model_dump(mode="json", include={"winner", "baseline", "majority"})
    return json.dumps(found | {"variants": [row.model_dump(mode="json") for row in rows]}, indent=2)


def as_markdown(rows: Sequence[VariantLine]) -> str:
    """A Markdown table with figures right-aligned and the winner in bold."""
    rule = ["---" if _is_text(column) else "---:" for column in range(len(HEADERS))]
    lines = [HEADERS, rule, *(_bold(cells(row)) if row.winner else cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def show(rows: Sequence[VariantLine], decision: Decision, twins: Sequence[str] = ()) -> None:
    """Print the table to stdout. A terminal that is too narrow for intervals and reasons gets only the figures.

    Args:
        rows: the variants.
        decision: of the gate.
        twins: a line for each pair of variants that have the same integers.
    """
    named = variants_table.headers(decision)
    full = _view(rows, named, [cells(row) for row in rows], gap=2)
    needed = Console(width=UNBOUNDED).measure(full).maximum
    fits = not sys.stdout.isatty() or Console().width >= needed
    console = Console(width=needed if fits else None, highlight=False)
    if fits:
        console.print(full)
        brackets = f"In brackets: the bounds that are judged, the lower one of {named[1]}, the upper one of latency."
    else:
        stacked = [header.replace(" ", "\n") for header in named]
        console.print(_view(rows, stacked, [_figures(row) for row in rows], gap=1))
        brackets = f"To see the bounds, use {needed} columns."
    unlabelled = [] if decision.labelled else [NO_LABELS.format(decision.baseline)]
    said = f"Baseline {decision.baseline}. Latency at batch 1. {brackets}"
    notes = [said, *unlabelled, *gains(rows), *twins, *findings(rows)]
    console.print("\n" + "\n".join([*notes, *warnings(decision), _outcome(decision)]))


def _view(rows: Sequence[VariantLine], titles: Sequence[str], texts: Sequence[Sequence[str]], gap: int) -> Table:
    view = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, gap - 1, 0, 0))
    for column, header in enumerate(titles):
        view.add_column(header, justify="left" if _is_text(column) else "right", no_wrap=True)
    for row, text in zip(rows, texts, strict=True):
        view.add_row(*text, style="bold green" if row.winner else STYLES[row.verdict])
    return view


def _figures(row: VariantLine) -> list[str]:
    return [*(text.partition(" [")[0] for text in cells(row)[:-1]), row.verdict]


def _outcome(decision: Decision) -> str:
    return f"Winner {decision.winner}." if decision.winner else "No variant meets the policy."


def _is_text(column: int) -> bool:
    return HEADERS[column] in ("variant", "verdict")


def _bold(texts: Sequence[str]) -> list[str]:
    return [f"**{text}**" if text else "" for text in texts]
