"""Attacks on registry, server, nights and readers: `python -m benchmarks.attacks [--only PART] [--n SIZE]` (hours).

    tampering  tags, aliases, records, files and rows of the database are changed; six commands meet each change
    routes     every route of a guarded server is asked to move what is guarded, by people of four roles
    calls      random calls of MLflow's client by three roles
    kills      commands are killed at random times, then run again
    fuzzing    mutated files for every reader

Prints a table for each part, puts it into `benchmarks/results/attacks.json`, and ends with exit code 1 where something
that was changed was accepted, or anything was lost, doubled, stuck or crashed.
"""

import sys
from collections.abc import Callable

import click

from benchmarks.attacks import calls, fuzzing, kills, routes, tampering
from benchmarks.attacks.part import Part

PARTS: dict[str, tuple[Callable[[int, int], Part], int]] = {
    "tampering": (tampering.run, 1_000),
    "routes": (routes.run, 1_000),
    "calls": (calls.run, 10_000),
    "kills": (kills.run, 112),
    "fuzzing": (fuzzing.run, 300_000),
}
"""What runs each part, given its size and a seed; and the size: kinds or routes at most, calls, kills, files."""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(PARTS)), help="Just these parts.")
@click.option("--n", "size", type=click.IntRange(min=1), help="Kinds, routes, calls, kills or files.")
@click.option("--seed", default=0, show_default=True)
@click.option("--record/--no-record", default=True, help="Whether benchmarks/results/attacks.json gets the parts.")
def main(only: tuple[str, ...], size: int | None, seed: int, record: bool) -> None:
    """Attack Octavo, and tell what came of it."""
    faults = 0
    for name in only or PARTS:
        run, whole = PARTS[name]
        part = run(size or whole, seed)
        part.show()
        if record:
            part.keep(name)
        faults += len(part.faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
