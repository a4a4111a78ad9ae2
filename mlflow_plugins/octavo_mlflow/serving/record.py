"""The record of one deployment, written by the client and read by the server."""

from pathlib import Path

from pydantic import Field

from octavo.project.errors import ModelError
from octavo.project.files import atomic_write, json_file
from octavo.project.schema import Record

LOOPBACK = "127.0.0.1"
RECORD, SERVER, ALIVE = "deployment.json", "server.json", "alive"
"""Files in its folder: what is served; the process and port that serve it; a lock that this process holds while it
runs.
"""


class Settings(Record):
    """The settings of a deployment, given by `-C`."""

    port: int = Field(default=0, ge=0, le=65535)
    """0 for any free port."""
    threads: int = Field(default=1, ge=1)


class Deployment(Record):
    """What is served."""

    name: str
    model_uri: str
    """As requested."""
    version: str
    """URI of the exact version."""
    variant: str
    flavor: str
    file: str
    sha256: str
    dtype: str
    """Data type of the model's input tensor."""
    shape: tuple[int, ...]
    classes: list[str]
    """Class names in the order of the scores; empty if nobody recorded them."""
    settings: Settings


def save(deployment: Deployment, folder: Path) -> None:
    """Write the record into the deployment's folder."""
    atomic_write.write_text(folder / RECORD, deployment.model_dump_json(indent=1) + "\n")


def load(folder: Path) -> Deployment:
    """Read the record of the deployment in `folder`.

    Raises:
        ModelError: there is none, or another release of Octavo wrote it.
    """
    try:
        return json_file.read_record(folder / RECORD, Deployment)
    except (FileNotFoundError, json_file.Unreadable) as error:
        raise ModelError(f"{folder / RECORD} is not a record of a deployment ({error}).") from None
