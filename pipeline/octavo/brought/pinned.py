"""Networks of `brought` that come from MLflow's registry: the file is that of the pinned version, or it is not used."""

from pathlib import Path

from octavo.backends import model_files, registry
from octavo.project.errors import ModelError, ParamsError
from octavo.project.files import atomic_write
from octavo.project.params import registry_uri
from octavo.project.params.networks import Brought
from octavo.project.params.params import PARAMS, Params


def digest(file: Path) -> str:
    """The SHA-256 of a network's file in hexadecimal; of ONNX with external data, as `model_files.sha256`.

    Raises:
        ModelError: the file is damaged, or some of its external data are missing.
    """
    known = {form.suffix for form in registry.formats().values()}
    return model_files.sha256(file) if file.suffix in known else atomic_write.digest(file, "sha256")


def require_all(params: Params) -> None:
    """As `require`, for every network that a variant needs."""
    for name, given in params.brought.items():
        if params.why_not_needed(name) is None:
            require(name, given)


def require(name: str, given: Brought) -> None:
    """Check that a network of a registry is pinned, and that its file is the pinned one. Others pass.

    Args:
        name: of the network.
        given: its entry.

    Raises:
        ParamsError: it is not pinned, or pinned to another version than its `uri` names.
        ModelError: the file is missing, or another one.
    """
    if given.uri is None:
        return
    require_pin(name, given)
    if not given.file.is_file():
        raise ModelError(f"{PARAMS}: brought.{name}.file is {given.file}, which is no file. Run octavo pin {name}.")
    if (found := digest(given.file)) != given.sha256:
        raise ModelError(
            f"{given.file} is not the pinned version {given.version}: its sha256 is {found}, and "
            f"brought.{name}.sha256 is {given.sha256}. Move it away, then run octavo pin {name}."
        )


def require_pin(name: str, given: Brought) -> None:
    """Check that a network of a registry is pinned to a version that its `uri` allows.

    Args:
        name: of the network.
        given: its entry, with a `uri`.

    Raises:
        ParamsError: it is not.
    """
    if given.version is None:
        raise ParamsError(f"{PARAMS}: brought.{name} is {given.uri}, not pinned to a version. Run octavo pin {name}.")
    named = registry_uri.parsed(str(given.uri)).version
    if named not in (None, given.version):
        raise ParamsError(
            f"{PARAMS}: brought.{name}.uri names version {named}, and version is {given.version}. "
            f"Run octavo pin --update {name}."
        )
