"""The folder of the results. It appears whole, or not at all; a folder with anything else in it is never replaced."""

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from octavo.project.errors import ParamsError
from octavo.quantization import recipes

REPORT, SCORECARDS, DECISION = "report.html", "scorecards.json", "decision.json"
FILES = {REPORT, SCORECARDS, DECISION}
SCRATCH = ".octavo-"
"""Beginning of the name of the folder in which results are made."""
BESIDE_A_MODEL = {"run.py", "run.cpp", "layers.json", "trials.csv", "__pycache__"}
"""What lies beside a model file, `model.*`."""


def check(folder: Path, read: Sequence[Path] = ()) -> None:
    """Check that the results can go to `folder`: it does not exist, is empty, or has earlier results and nothing else.

    Args:
        folder: for the results.
        read: what the command reads. It must lie elsewhere.

    Raises:
        ParamsError: they cannot.
    """
    parent, home = folder.absolute().parent, Path(os.path.realpath(folder))
    if Path.cwd().is_relative_to(home):
        raise ParamsError(f"--out {folder} is the folder that you are in, or one around it. Give a folder inside.")
    for path in read:
        if Path(os.path.realpath(path)).is_relative_to(home):
            raise ParamsError(f"{path} lies in --out {folder}, which is replaced. Give another folder.")
    if not parent.is_dir():
        raise ParamsError(f"--out {folder}: there is no folder {parent}. Make it, or give another.")
    try:
        TemporaryDirectory(prefix=SCRATCH, dir=parent).cleanup()
    except OSError:
        raise ParamsError(f"--out {folder}: {parent} cannot be written to. Give another folder.") from None
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ParamsError(
            f"--out {folder} is {'a link' if folder.is_symlink() else 'a file'}. Give a folder, or a new name."
        )
    if folder.is_dir() and (foreign := _foreign(folder)):
        raise ParamsError(
            f"--out {folder} has {foreign.relative_to(folder)}, which octavo quantize does not write. Give an empty "
            "folder, a new one, or one with earlier results only."
        )


def require_kept(folder: Path, made: Collection[str]) -> None:
    """Check that every variant of earlier results in `folder` is made again.

    Args:
        folder: for the results, as `check` accepts it.
        made: the variants that are made now.

    Raises:
        ParamsError: one is not, and would be lost.
    """
    earlier = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    if lost := sorted(earlier - set(made)):
        raise ParamsError(
            f"--out {folder} has {', '.join(lost)} of an earlier run, which this one does not make and would delete. "
            "Give another --out, or delete that folder first."
        )


@contextmanager
def written(folder: Path) -> Iterator[Path]:
    """A new folder for the results. If all goes well, it takes the place of `folder`; otherwise it is removed.

    Raises:
        ParamsError: something else lies in `folder` by now.
    """
    folder = folder.absolute()
    with TemporaryDirectory(prefix=SCRATCH, dir=folder.parent) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        yield new
        check(folder)
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise


def _foreign(folder: Path) -> Path | None:
    """Something in `folder` that no result has; None if there is nothing of that kind."""
    known = set(recipes.names())
    for path in sorted(folder.iterdir()):
        if path.name in FILES and path.is_file():
            continue
        if path.name not in known or not path.is_dir():
            return path
        for inner in sorted(path.iterdir()):
            if inner.name not in BESIDE_A_MODEL and not inner.name.startswith("model."):
                return inner
    return None
