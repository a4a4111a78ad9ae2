"""`octavo init`: make a folder of a user's git repository a project. All is checked before anything is written."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError

from octavo.project import extras, paths
from octavo.project.errors import OctavoError, ParamsError
from octavo.project.files import atomic_write
from octavo.project.git import projects, roots
from octavo.project.git.projects import from_here
from octavo.project.git.revision import git_commit
from octavo.project.params.data import HOME, WITH_FILES
from octavo.project.params.encoding import InputEncoding
from octavo.project.params.networks import BUILT_IN_NAMES
from octavo.project.params.params import PARAMS, Params, load_params
from octavo.project.params.section import faults
from octavo.project.setting_up import given_data, needed_extras, questions, shipped, trial

EPOCHS = {"digits": 40}
"""Source -> epochs. Others have more examples, and need fewer."""
FEWER_EPOCHS = 10
GIT = ".git"
ENCODING = (
    "No file says how its network's input was scaled. If it was not pixels in 0..1, add scale, mean and std to "
    f"data.encoding in {PARAMS}. The stage bring says the network's accuracy."
)


def init(folder: Path, given: Mapping[str, str | None], yes: bool) -> None:
    """Do what `octavo init` asks for.

    Args:
        folder: the new project; it may not exist yet.
        given: answers of the command line to the four questions.
        yes: ask nothing.

    Raises:
        ParamsError: there is no git repository, the folder is a project already, or an answer is wrong.
        OctavoError: DVC refuses.
    """
    extras.require("dvc")
    project = folder.resolve()
    root = _root(project)
    _check_free(project)
    answers = questions.answers(given, not yes, project, root)
    _check_name(answers["name"], root)
    params = _params(answers)
    needs_dvc = not (root / roots.DVC).is_dir()
    files = {root / roots.DVC / "config": shipped.DVC_CONFIG} if needs_dvc else {}
    files |= dict(_files(project, root, params))
    _check_writable(files)
    if needs_dvc:
        _dvc_init(root)
    _write(files)
    for path in files:
        click.echo(f"written: {from_here(path)}", err=True)
    click.echo(_next(project, answers["name"], _commit(root, files)))


def _root(project: Path) -> Path:
    """DVC's root, or the git root where DVC is not set up yet.

    Raises:
        ParamsError: there is neither, or git does not open it.
    """
    existing = next(each for each in (project, *project.parents) if each.exists())
    if not existing.is_dir():
        raise ParamsError(f"{from_here(existing)} is a file, and a project is a folder. Name another folder.")
    git, dvc = roots.git_root(existing), roots.dvc_root(existing)
    if GIT in project.parts:
        raise ParamsError(f"{from_here(project)} is inside {GIT}, which belongs to git. Name another folder.")
    if git is None and dvc is None:
        if marked := next((each for each in (existing, *existing.parents) if (each / GIT).exists()), None):
            raise ParamsError(
                f"Git does not open the repository {marked}: it is damaged, or belongs to another user. To see why: "
                f"git -C {shlex.quote(str(marked))} status."
            )
        raise ParamsError(f"{existing} is in no git repository, which DVC needs. Run git init, then this again.")
    return dvc if dvc is not None and (git is None or dvc.is_relative_to(git)) else git or existing


def _check_free(project: Path) -> None:
    """Refuse what would mix with files of the user.

    Raises:
        ParamsError: the folder has one of the files or folders that a project makes.
    """
    elsewhere = "Nothing was written. Choose a folder of its own, such as: octavo init models/mine."
    for name in (shipped.PIPELINE, str(PARAMS)):
        if os.path.lexists(project / name):
            renew = " To renew an Octavo project's dvc.yaml: octavo upgrade." if name == shipped.PIPELINE else ""
            raise ParamsError(f"{from_here(project / name)} exists, and is never overwritten. {elsewhere}{renew}")
    for outputs in (paths.ARTIFACTS, paths.REPORTS):
        if os.path.lexists(project / outputs):
            raise ParamsError(f"{from_here(project / outputs)} exists, and the pipeline writes there. {elsewhere}")


def _check_name(name: str, root: Path) -> None:
    """Refuse a name in the registry that another project of the repository has.

    Raises:
        ParamsError: it is taken.
    """
    for path in projects.files(root):
        try:
            taken = load_params(path).registry.model
        except OctavoError:  # another program's params.yaml, or a faulty one
            continue
        if taken == name:
            raise ParamsError(
                f"The name '{name}' in MLflow's registry belongs to {from_here(path)}. Nothing was written. Choose "
                "another: octavo init --name NAME."
            )


def _params(answers: Mapping[str, Any]) -> str:
    """The text of `params.yaml`, checked as every stage will check it."""
    data, model = {"image_size": None, "generator": None} | answers["data"], answers["model"]
    if data["source"] in WITH_FILES and model.get("image_size"):
        data["image_size"] = model["image_size"]
    text = shipped.params(
        build=model.get("build"),
        file=model.get("file"),
        encoding=_encoding(data, model),
        data=data,
        source="theirs" if "file" in model else "fp32",
        formats=answers["format"],
        name=answers["name"],
        epochs=EPOCHS.get(data["source"], FEWER_EPOCHS),
        sources=given_data.SOURCES,
        networks=BUILT_IN_NAMES,
    )
    try:
        Params.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise ParamsError(f"{PARAMS} cannot be written: {faults(error)}.") from None
    return text


def _encoding(data: Mapping[str, Any], model: Mapping[str, Any]) -> InputEncoding | None:
    """The encoding that fits the data and the network; None if it is the default one.

    Raises:
        OctavoError: they do not fit together.
    """
    declared = InputEncoding(layout=model.get("layout") or "stored")
    examples, network = data["seen"], model.get("seen")
    if examples and network:
        if size := data["image_size"]:
            examples = replace(examples, shape=(*size, *examples.shape[2:]))
        declared = trial.encoding(examples, network, declared)
    return None if declared == InputEncoding() else declared


def _files(project: Path, root: Path, params: str) -> Iterator[tuple[Path, str]]:
    """What to write: path -> content. `dvc.yaml` comes last, because it makes the folder a project."""
    ignored: dict[Path, tuple[str, ...]] = {root / ".gitignore": shipped.IGNORED_IN_ROOT}
    ignored[project / ".gitignore"] = (*shipped.IGNORED_IN_PROJECT, *ignored.get(project / ".gitignore", ()))
    for path, lines in (ignored | {root / ".dvcignore": shipped.NOT_WALKED}).items():
        old = _content(path)
        if missing := [line for line in lines if line not in old.splitlines()]:
            gap = "" if not old or old.endswith("\n") else "\n"
            yield path, "\n".join([old + gap + missing[0], *missing[1:], ""])
    for name in shipped.PLOTS:
        path = root / roots.DVC / "plots" / name
        if not path.exists():
            yield path, shipped.text(name)
    if yaml.safe_load(params)["data"]["path"] == str(HOME) and not (project / HOME).exists():
        yield project / HOME / ".gitkeep", ""
    yield project / PARAMS, params
    yield project / shipped.PIPELINE, shipped.text(shipped.PIPELINE_TEMPLATE)


def _content(path: Path) -> str:
    """The text of a file that gets further lines; empty if there is no such file.

    Raises:
        ParamsError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ParamsError(
            f"{from_here(path)} cannot be read: {error.strerror}. Nothing was written. Make it a readable file, or "
            "remove it."
        ) from None


def _check_writable(files: Iterable[Path]) -> None:
    """Refuse before the first write what the last one would meet.

    Raises:
        ParamsError: a folder does not let this user write.
    """
    for path in files:
        folder = next(each for each in path.parents if each.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ParamsError(
                f"{from_here(path)} cannot be written: {folder} is read-only for you. Nothing was written. "
                "Change its permissions, or choose another folder."
            )


def _dvc_init(root: Path) -> None:
    """Set DVC up in `root`.

    Raises:
        OctavoError: DVC refuses.
    """
    command = [sys.executable, "-P", "-m", "dvc", "init", "--quiet"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()).removeprefix("ERROR: ")
        raise OctavoError(f"dvc init in {root} fails: {said[:300]}. Correct that, then run octavo init again.")


def _write(files: Mapping[Path, str]) -> None:
    """Write all files; after an error, take back those that are new."""
    new: list[Path] = []
    try:
        for path, text in files.items():
            new += [] if path.exists() else [path]
            atomic_write.write_bytes(path, text.encode("utf-8", "surrogateescape"))
    except OSError:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def _commit(root: Path, files: Iterable[Path]) -> list[str]:
    """How to make the first commit of a repository that has none: each promotion tags a commit."""
    if git_commit(root) or not roots.git_root(root):
        return []
    places = dict.fromkeys(root / roots.DVC if path.is_relative_to(root / roots.DVC) else path for path in files)
    return [f"git add {' '.join(shlex.quote(from_here(path)) for path in places)} && git commit -m 'Set up Octavo'"]


def _next(project: Path, name: str, commit: list[str]) -> str:
    """What the user types next.

    Args:
        project: folder of the project.
        name: of the model.
        commit: what makes a commit, if there is none yet.
    """
    params = load_params(project / PARAMS)
    missing = extras.missing(needed_extras.of(params))
    install = [f"pip install 'octavo[{','.join(missing)}]'"] if missing else []
    go = [] if project == Path.cwd() else [f"cd {shlex.quote(from_here(project))}"]
    build = ["dvc repro", "octavo compare", "octavo promote"]
    return "\n".join(
        [
            f"{from_here(project)} is a project, its model in the registry is '{name}'. Next:",
            *(f"  {line}" for line in [*install, *commit, *go, *build]),
            *([ENCODING] if params.brought else []),
        ]
    )
