"""The command of this room, as people type it. Its work is an entry point of the group `octavo.actions`."""

import click

from octavo.project import extras
from octavo.project.cli import act


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--update", is_flag=True, help="Move to the version that the alias points to now.")
def pin(names: tuple[str, ...], update: bool) -> None:
    """Fetch networks of brought from MLflow's registry, and write their versions to params.yaml.

    Without NAME, all of them. A pinned network is fetched again only where its file is missing.
    """
    extras.require("mlflow")
    act("pin", names, update)
