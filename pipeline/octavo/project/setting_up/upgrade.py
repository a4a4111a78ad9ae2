"""`octavo upgrade`: renew the files of a project that Octavo wrote, and keep what the user added."""

import difflib
import re
from pathlib import Path
from typing import Any

import click
import yaml

from octavo.project.errors import ParamsError
from octavo.project.files import atomic_write, yaml_file
from octavo.project.git import roots
from octavo.project.params.params import PARAMS
from octavo.project.setting_up import own_stages, shipped

LISTED = re.compile(r"foreach: \$\{(\w+)\}")
"""Sections of `params.yaml` that the pipeline makes stages of. DVC needs each of them, if only empty."""


def upgrade(folder: Path, yes: bool) -> None:
    """Do what `octavo upgrade` asks for.

    Raises:
        ParamsError: the folder is no project, or the user's own parts cannot be kept.
    """
    changes = changes_of(folder)
    if not changes:
        click.echo(f"{folder / shipped.PIPELINE} is up to date.")
        return
    for path, text in changes.items():
        old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        click.echo("\n".join(difflib.unified_diff(old, text.splitlines(), str(path), f"{path}, new", lineterm="")))
    theirs, new = _pipeline(folder), yaml_file.parse(shipped.text(shipped.PIPELINE_TEMPLATE).encode())
    if kept := own_stages.names(theirs, new):
        click.echo(f"Kept, because it is yours: {', '.join(kept)}.", err=True)
    for name, command in own_stages.changed(theirs, new).items():
        click.echo(
            f"Your command of stage {name} goes, because the stage is Octavo's: '{command}'. To go on running it, give "
            "it a stage of your own, with another name and other outputs.",
            err=True,
        )
    click.echo("The lines with - go, also where you changed Octavo's own stages.", err=True)
    if not yes and not _agreed():
        click.echo("Nothing was changed.")
        return
    for path, text in changes.items():
        atomic_write.write_text(path, text)
    click.echo(f"Renewed: {', '.join(map(str, changes))}. Next: dvc repro.")


def changes_of(folder: Path) -> dict[Path, str]:
    """What an upgrade of the project would write: path -> content; `dvc.yaml` last.

    Raises:
        ParamsError: as `upgrade`.
    """
    _pipeline(folder)
    path, new = folder / shipped.PIPELINE, shipped.text(shipped.PIPELINE_TEMPLATE)
    plots = (roots.dvc_root(folder) or folder) / roots.DVC / "plots"
    renewed = {plots / name: shipped.text(name) for name in shipped.PLOTS}
    renewed |= _sections(folder, new)
    renewed[path] = own_stages.merged(path.read_text(encoding="utf-8"), new)
    return {each: text for each, text in renewed.items() if not each.exists() or each.read_bytes() != text.encode()}


def _pipeline(folder: Path) -> dict[str, Any]:
    """The content of the project's `dvc.yaml`.

    Raises:
        ParamsError: there is none, it is no pipeline, or not one of Octavo's.
    """
    path = folder / shipped.PIPELINE
    try:
        found = yaml_file.read(path)
    except FileNotFoundError:
        raise ParamsError(f"No {path}. To make this folder a project: octavo init.") from None
    stages = found.get(own_stages.STAGES) if isinstance(found, dict) else None
    if not isinstance(stages, dict) or not any(map(own_stages.is_ours, stages.values())):
        raise ParamsError(
            f"{path} is not one of Octavo's: none of its stages runs octavo_stages. Make a project in a folder of its "
            "own: octavo init models/mine."
        )
    return dict(found)


def _sections(folder: Path, pipeline: str) -> dict[Path, str]:
    """`params.yaml` with the sections that a new pipeline lists and that it lacks, empty; nothing if it has all.

    Raises:
        ParamsError: there is no such file, or it is no mapping.
    """
    path = folder / PARAMS
    try:
        found = yaml_file.read(path)
    except FileNotFoundError:
        raise ParamsError(f"No {path}, which {shipped.PIPELINE} reads. Restore it: git checkout {path}.") from None
    if not isinstance(found, dict):
        raise ParamsError(f"{path} has no sections. Restore it: git checkout {path}.")
    given = own_stages.entries(yaml.safe_load(pipeline), "vars")
    missing = [name for name in LISTED.findall(pipeline) if name not in found and name not in given]
    text = path.read_text(encoding="utf-8").rstrip("\n")
    return {path: "\n".join([text, *(f"\n{name}: {{}}" for name in missing), ""])} if missing else {}


def _agreed() -> bool:
    """Whether the user agrees.

    Raises:
        ParamsError: there is nobody to ask.
    """
    try:
        return click.confirm("Write this?", default=True, err=True)
    except click.Abort as stop:
        if isinstance(stop.__context__, EOFError):
            raise ParamsError("Nobody answered, and nothing was changed. To write without asking: --yes.") from None
        raise
