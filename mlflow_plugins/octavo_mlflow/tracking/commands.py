"""The command of this room, as people type them. Arguments are checked here, before MLflow is imported.

Its work is an entry point of the group `octavo.actions`, which `act` loads.
"""

import click

from octavo.project.cli import act


@click.command()
@click.option("--mend", is_flag=True, help="Repair what is found.")
def doctor(mend: bool) -> None:
    """Look for what killed processes left behind, and repair it with --mend."""
    act("doctor", mend)
