"""One deployment: what is served, as the client writes it down and the server reads it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, json_file

LOOPBACK = "127.0.0.1"
RECORD, SERVER, ALIVE = "deployment.json", "server.json", "alive"
"""In its folder: what is served, by which process on which port, and a lock that this process holds while it lives."""


class Settings(BaseModel):
    """What `-C` sets of a deployment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=0, ge=0, le=65535)
    """0 for any that is free."""
    threads: int = Field(default=1, ge=1)


class Deployment(BaseModel):
    """What is served."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model_uri: str
    """As asked for."""
    version: str
    """URI of the very version."""
    variant: str
    flavor: str
    file: str
    sha256: str
    dtype: str
    """Of the tensor that the model takes."""
    shape: tuple[int, ...]
    classes: list[str]
    """By the number of the score; empty where nobody recorded them."""
    settings: Settings


def save(deployment: Deployment, folder: Path) -> None:
    """Write it down in its folder."""
    atomic_write.write_text(folder / RECORD, deployment.model_dump_json(indent=1) + "\n")


def load(folder: Path) -> Deployment:
    """The deployment in `folder`.

    Raises:
        ModelError: there is none, or it is of another version of Octavo.
    """
    try:
        return json_file.read_record(folder / RECORD, Deployment)
    except (FileNotFoundError, json_file.Unreadable) as error:
        raise ModelError(f"{folder / RECORD} is no record of a deployment ({error}).") from None
