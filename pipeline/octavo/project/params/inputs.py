"""What `params.yaml` names and the pipeline reads: the data and the files of brought networks.

They are dependencies of stages in `dvc.yaml`. Where one is missing, DVC only says so after other stages have run, and
not which key names it.
"""

from pathlib import Path

from octavo.project.errors import ParamsError, did_you_mean
from octavo.project.params.data import WITH_PATH
from octavo.project.params.networks import DOORS
from octavo.project.params.params import PARAMS, Params


def missing(params: Params) -> dict[str, Path]:
    """Key of `params.yaml` -> the path that it names and that does not exist."""
    named = {f"brought.{name}.file": each.path for name, each in params.brought.items() if each.path}
    if params.data.path is not None:
        named["data.path"] = params.data.path
    return {key: path for key, path in named.items() if not path.exists()}


def require(params: Params) -> None:
    """Check that everything that `params.yaml` names is there.

    Raises:
        ParamsError: something is missing. The message names the key, and a file with a similar name.
    """
    for key, path in missing(params).items():
        near = did_you_mean(str(path), map(str, _beside(path))) if _is_read(key, params) else ""
        raise ParamsError(
            f"{PARAMS}: {key} is {path}, and there is no such file or folder.{near} {_remedy(key, params)}"
        )


def _beside(path: Path) -> list[Path]:
    """What lies where the missing path should be."""
    folder = path.parent
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_read(key: str, params: Params) -> bool:
    """Whether something is read there. DVC needs the path of every source, also of one that reads none."""
    return key != "data.path" or params.data.source in (*WITH_PATH, "generator")


def _remedy(key: str, params: Params) -> str:
    if key != "data.path":
        kinds = f"in {', '.join(DOORS)}, or the folder of a SavedModel"
        return f"Give the path of a network {kinds}; or restore it: dvc pull, git checkout."
    if _is_read(key, params):
        return "Give the path of your data, or restore them: dvc pull, git checkout."
    return f"Source '{params.data.source}' reads no path, but DVC needs the folder: mkdir {params.data.path}."
