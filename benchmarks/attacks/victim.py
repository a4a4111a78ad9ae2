"""A measured project with a history of promotions, of which each attack gets a fresh copy, and its commands.

Version 1 is the baseline. 2 and 3 were champions, by two promotions, a rollback and another promotion; 3 is it now, 2
is previous and anchor. 4 waits to be promoted, and 2 to 4 are signed.
"""

import hashlib
import io
import os
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo.project import cli, paths
from octavo.project.errors import OctavoError
from octavo.project.files import atomic_write
from octavo_mlflow.registry import standing
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.serving import answers, create
from octavo_mlflow.serving.client import DeploymentError, _told
from octavo_mlflow.serving.record import Settings
from tests import keys
from tests.octavo_mlflow import measured_project
from tests.octavo_mlflow.measured_project import WEIGHTS, Project

VARIANT = "litert_int8_static"
MODEL = "octavo"
FACTORS = {2: 1.0, 3: 1.01, 4: 1.02}
"""By which the weights of each version differ from those that the test split was made with."""
STANDS = {"champion": "3", "previous": "2", "anchor": "2"}
"""Where the aliases are."""
COMMANDS: dict[str, list[str]] = {
    "promote": ["promote", VARIANT],
    "rollback": ["rollback"],
    "audit": ["audit"],
    "replay": ["replay"],
    "deploy": [],
    "verify": ["verify"],
}
READING = ("audit", "replay", "deploy", "verify")
"""Commands that change nothing in MLflow."""
GUARDED = (
    "SELECT name FROM registered_models ORDER BY name",
    "SELECT name, alias, version FROM registered_model_aliases ORDER BY name, alias",
    "SELECT name, key, value FROM registered_model_tags ORDER BY name, key",
    "SELECT name, version, key, value FROM model_version_tags ORDER BY name, version, key",
)
"""What a refused command leaves as it was."""


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    code: int | None
    """None where it raised something that is not Octavo's."""
    out: str
    err: str
    effect: dict[str, Any]
    """What it found or did, without times and hashes: the same wherever what was changed has no bearing on it."""
    changed: bool
    """Whether anything in MLflow is not as it was."""


@dataclass(frozen=True)
class Victim:
    """The project in `folder`, which is the working directory."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the statement gives, asked of the database itself."""
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database, database:
            return database.execute(statement, values).fetchall()

    def stored(self, version: int) -> Path:
        """The folder of a version's model in the store."""
        ((source,),) = self.sql("SELECT source FROM model_versions WHERE version = ?", version)
        (found,) = (self.folder / "mlruns").rglob(str(source).removeprefix("models:/"))
        return found / "artifacts"

    def records(self, kind: str = "records") -> list[Path]:
        """Files of the audit log in MLflow, first to last."""
        return sorted((self.folder / "mlruns").rglob(f"{kind}/*.json"))

    def copy(self) -> Path:
        """This machine's copy of the log."""
        (found,) = paths.AUDIT_LOGS.glob("*.jsonl")
        return found


def build(folder: Path, last: bool = True) -> Victim:
    """Make the project, its history and its keys in `folder`, and go there; without version 4 where not `last`."""
    enter(folder)
    empty = folder.with_name("empty") / "mlflow.db"
    empty.parent.mkdir(exist_ok=True)
    MlflowClient(f"sqlite:///{empty}").search_experiments()
    project = measured_project.make(folder, empty, "onnx_fp32", VARIANT)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    keys.make(folder, "signing")
    keys.make(folder, "foreign")
    project.register()
    _do("promote", VARIANT)
    _renewed(project, FACTORS[3])
    _do("promote", VARIANT)
    _do("rollback")
    _do("promote", VARIANT)
    project.weigh(VARIANT, WEIGHTS * np.float32(FACTORS[4]))
    if last:
        project.register()
    for version in "234" if last else "23":
        _do("sign", version)
    return Victim(folder)


def enter(folder: Path) -> Victim:
    """The project that lies, or will lie, in `folder`: work there."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.environ["OCTAVO_DEPLOYMENTS"] = str(folder.with_name("deployments"))
    os.environ["OCTAVO_SIGNING_KEY"], os.environ["OCTAVO_VERIFYING_KEY"] = "signing.pem", "signing.pub"
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    return Victim(folder)


def _renewed(project: Project, factor: float) -> None:
    project.weigh(VARIANT, WEIGHTS * np.float32(factor))
    project.register()


def _do(*arguments: str) -> None:
    code, out, err = command(arguments)
    if code != 0:
        raise RuntimeError(f"octavo {' '.join(arguments)}: {code}, {out}, {err}")


def command(arguments: Sequence[str]) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of `octavo`; no code but a traceback where it raises what is not its own."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["octavo", *arguments]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
        except Exception:  # noqa: BLE001 # what a user would see as a traceback
            return None, out.getvalue(), traceback.format_exc()
    return None, out.getvalue(), "main returned"


def outcome(victim: Victim, name: str) -> Outcome:
    """Run one of `COMMANDS`, and see what it did."""
    before = guarded(victim)
    code, out, err, effect = _deployed() if name == "deploy" else (*command(COMMANDS[name]), {})
    changed = guarded(victim) != before
    if name not in READING:
        effect = _moved(victim)
    return Outcome(code, out, err, {**effect, "said": out if code == 0 else ""}, changed)


def guarded(victim: Victim) -> list[Any]:
    """All that a refused command leaves as it was."""
    rows: list[Any] = [victim.sql(statement) for statement in GUARDED]
    return [*rows, [(str(path), path.read_bytes()) for path in victim.records() if path.is_file()]]


def _moved(victim: Victim) -> dict[str, Any]:
    """Where the aliases are, and what the last record says of it."""
    client = victim.client()
    try:
        now = standing.state(client, MODEL)
        *_, last = audit_log.read(client, now)
    except (MlflowException, OctavoError, ValueError) as error:
        return {"unreadable": str(error)}
    fields = last.model_dump(mode="json", exclude={"when", "parent", "known"})
    return {"aliases": now.aliases, "record": fields, "done": now.done}


def _deployed() -> tuple[int | None, str, str, dict[str, Any]]:
    """Put the champion into a deployment's folder and open it there, as `mlflow deployments create` and its process do.

    That process is not started: it would take most of the time of all commands together.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            with _told():
                create.prepare(folder, "cam", f"models:/{MODEL}@{standing.CHAMPION}", None, Settings())
                opened = answers.ServedModel(folder)
        except DeploymentError as error:
            return 1, "", f"octavo: {error}", {}
        except Exception:  # noqa: BLE001 # what a user would see as a traceback
            return None, "", traceback.format_exc(), {}
        record = opened.deployment
        bytes_ = atomic_write.digest(folder / record.file, "sha256")
    effect = {"version": record.version, "variant": record.variant, "bytes": bytes_, "classes": record.classes}
    return 0, "", "", effect


def restore(pristine: Path, folder: Path) -> None:
    """Let `folder` be as `pristine` is."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder, symlinks=True)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
