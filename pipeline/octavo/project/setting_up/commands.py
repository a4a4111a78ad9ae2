"""The commands of this room, as people type them. The work of each is an entry point of the group `octavo.actions`."""

from pathlib import Path

import click

from octavo.project.cli import act

FORMATS = ("onnx", "litert", "both")
FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")


@click.command()
@FOLDER
@click.option("--data", metavar="PATH", help="An archive or a folder with your data; or digits, mnist, fashion_mnist.")
@click.option("--model", metavar="NAME", help="A network of Octavo, module:function of your own, or a file.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Formats of the model files to make.")
@click.option("--name", help="Name of the model in MLflow's registry.  [default: the folder's name]")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
def init(folder: Path, data: str | None, model: str | None, form: str | None, name: str | None, yes: bool) -> None:
    """Make FOLDER of a git repository a project: params.yaml, dvc.yaml, DVC's set-up. Nothing is overwritten."""
    act("init", folder, {"data": data, "model": model, "format": form, "name": name}, yes)


@click.command()
@FOLDER
@click.option("--yes", is_flag=True, help="Write without asking.")
def upgrade(folder: Path, yes: bool) -> None:
    """Renew dvc.yaml in FOLDER after a new version of Octavo, and show the difference. Your own stages are kept."""
    act("upgrade", folder, yes)


@click.command()
@click.option("--mend", is_flag=True, help="Repair what killed processes left behind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(mend: bool, as_json: bool) -> None:
    """Check this machine and the project: each line is ok, or says what to type."""
    act("doctor", mend, as_json)
