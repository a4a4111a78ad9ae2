"""The commands of this room, as people type them. Arguments are checked here, before MLflow is imported.

The work of each is an entry point of the group `octavo.actions`, which `act` loads.
"""

import click

from octavo.project.cli import act


@click.command()
@click.option("--repair", "mend", is_flag=True, help="Show what would repair the faults, and do it after a yes.")
@click.option("--yes", is_flag=True, help="With --repair: do it without asking; needs --reason.")
@click.option("--reason", help="With --repair: why, in your words; it is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print all records and faults as JSON.")
def audit(mend: bool, yes: bool, reason: str | None, as_json: bool) -> None:
    """Verify the log of promotions, and that every promoted version still has the bytes that were judged."""
    if not mend and (yes or reason):
        raise click.UsageError("--yes and --reason need --repair.")
    if mend and as_json:
        raise click.UsageError("--repair and --json exclude each other: --repair asks questions.")
    if yes and not (reason and reason.strip()):
        raise click.UsageError("--yes needs --reason '…': a repair is recorded with its reason.")
    act("audit", mend, yes, reason, as_json)


@click.command()
@click.argument("record", type=click.IntRange(min=1), required=False)
def replay(record: int | None) -> None:
    """Repeat the verdict of a past promotion from its recorded grounds: RECORD, or the last one."""
    act("replay", record)
