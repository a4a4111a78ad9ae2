"""`octavo status`: which versions are in service, since when and why, and what is in progress."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mlflow import MlflowClient
from rich import box
from rich.console import Console
from rich.table import Table

from octavo.project.code import stages
from octavo.project.git import roots
from octavo.project.params.params import load_params
from octavo.reporting.variants_table import kilobytes, microseconds, percent
from octavo_mlflow.promotion import request
from octavo_mlflow.registry import copies, standing
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.registry.mutex import mutex
from octavo_mlflow.registry.standing import State
from octavo_mlflow.tracking import connection

FIGURES = ("accuracy", "size_bytes", "latency_us")
SHOWN = (standing.CHAMPION, standing.PREVIOUS, standing.ANCHOR)
FORMS = (percent, kilobytes, microseconds)


def status(as_json: bool) -> None:
    """Do what `octavo status` asks for: print it, as JSON if asked."""
    params = load_params()
    if Path("dvc.yaml").exists():
        sys.path += roots.of_code()  # a program, unlike `python -m`, does not begin it with the working directory
        stages.write(params)  # so that `dvc status` compares with the code of this moment
    model = params.registry.model
    with connection.connected(existing=True) as client:
        now = standing.known(client, model)
        shown = {
            "model": model,
            "mlflow": connection.public(),
            "aliases": {alias: _version(client, model, number) for alias, number in now.aliases.items()},
            "last": _last(client, now),
            "unfinished": now.unfinished,
            "copies": [*copies.within(client, now), *copies.elsewhere(client, now)],
            "request": _request(client, now),
            "locked_by": str(mutex.holder_of(client, model) or "") or None,
        }
    click.echo(json.dumps(shown, indent=1)) if as_json else _show(shown)


def _version(client: MlflowClient, model: str, number: str) -> dict[str, Any]:
    tags = client.get_model_version(model, number).tags
    figures = {name: figure for name in FIGURES if (figure := _number(tags.get(name))) is not None}
    told = {name: value for name, value in tags.items() if name.startswith(("promote.", "rollback."))}
    return {"version": number, "variant": tags.get("variant"), **figures, **told}


def _number(text: str | None) -> float | None:
    """The number in a tag, or None if the tag holds anything else."""
    try:
        found = float(text or "nan")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _last(client: MlflowClient, now: State) -> dict[str, Any] | None:
    if not now.head[0]:
        return None
    move = audit_log.last(client, now)
    return move.model_dump(
        mode="json", include={"sequence", "when", "who", "approved", "action", "version", "variant", "note", "after"}
    )


def _request(client: MlflowClient, now: State) -> dict[str, Any] | None:
    """The open request, with a sentence on what to do or why it has lapsed."""
    found = request.opened(client, now)
    if found is None:
        return None
    holds = found.asked.before == now.aliases and found.asked.sequence == now.head[0] + 1
    said = "To approve it: octavo approve." if holds else "It has lapsed: since then the aliases moved."
    return {**found.shown, "lapsed": not holds, "said": f"Asked for: {found}. {said}"}


def _show(shown: dict[str, Any]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for header in ("alias", "version", "variant", "accuracy", "size, kB", "p50, µs"):
        table.add_column(header, no_wrap=True)
    for alias in sorted(shown["aliases"], key=SHOWN.index):
        row = shown["aliases"][alias]
        figures = [row.get(name) for name in FIGURES]
        texts = [form(figure) if figure is not None else "" for form, figure in zip(FORMS, figures, strict=True)]
        table.add_row(alias, row["version"], row["variant"] or "", *texts)
    console = Console(highlight=False)
    if shown["aliases"]:
        console.print(table)
    for sentence in _sentences(shown):
        console.print(sentence, soft_wrap=True)


def _sentences(shown: dict[str, Any]) -> Iterator[str]:
    last, model = shown["last"], shown["model"]
    if not shown["aliases"]:
        yield f"{model} has no champion yet. Promote one: octavo promote."
    if last:
        why = f": {last['note']}" if last["note"] else ""
        approved = f", approved by {', '.join(last['approved'])}" if last["approved"] else ""
        yield f"Last: {last['action']} of version {last['version']} by {last['who']}{approved}, {last['when']}{why}"
    if shown["unfinished"]:
        yield "That move was interrupted. The next octavo promote, rollback or nightly finishes it."
    elif last and _moved_by_hand(shown):
        yield f"Since then aliases were moved without octavo, which left them at {last['after']}."
    if shown["request"]:
        yield shown["request"]["said"]
    yield from (f"Note: {each}." for each in shown["copies"])
    yield f"Source: MLflow at {shown['mlflow']}"
    if shown["locked_by"]:
        yield f"Being changed by {shown['locked_by']}"


def _moved_by_hand(shown: dict[str, Any]) -> bool:
    return {alias: row["version"] for alias, row in shown["aliases"].items()} != shown["last"]["after"]
