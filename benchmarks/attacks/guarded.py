"""A real server with Octavo's gate that asks people who they are, a promoted model on it, and what must stay there.

Four roles use it: nobody known, a reader, an editor of the model and its experiments, and its manager, who registered
it. What the gate holds, none of them moves by MLflow's own means. What it cannot hold, such as artifacts, which MLflow
lets an editor write, `octavo audit` has to see.
"""

# ruff: noqa: S608 # the parts of these statements are our own

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient
from sqlalchemy import Engine, create_engine, text

from benchmarks.attacks.alone import Died, alone, surely
from benchmarks.attacks.victim import VARIANT, command
from octavo.project.cli import typed_text
from octavo_mlflow.registry import aliases, standing
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.registry.standing import HEAD, LOG
from octavo_mlflow.registry.versions import UNJUDGED
from octavo_mlflow.server.alias_guard import KEPT
from tests import servers
from tests.octavo_mlflow import measured_project, team
from tests.octavo_mlflow.measured_project import WEIGHTS
from tests.octavo_mlflow.team import Team, gated, password

ROLES = ("nobody", "reader", "editor", "manager")
CONFIG = """[mlflow]
default_permission = READ
database_uri = {database}
auth_cache_ttl_seconds = 60
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""
PERMISSIONS = (
    "SELECT may.resource_type, may.resource_pattern, may.permission, who.user_id FROM role_permissions may "
    "JOIN user_role_assignments who ON who.role_id = may.role_id ORDER BY may.id, who.user_id"
)
"""Who may do what, with what."""

State = dict[str, Any]


@dataclass(frozen=True)
class Server:
    """The server, and its database and artifacts, which the attackers do not reach."""

    team: Team
    engine: Engine
    folder: Path
    empty: Path

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """What the database has."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]

    @property
    def log(self) -> str:
        """What the server said."""
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("server-*.log"))


@contextmanager
def running() -> Iterator[Server]:
    """The server, over PostgreSQL where it is installed, for as long as the block lasts."""
    with TemporaryDirectory() as folder, _database(place := Path(folder)) as database:
        empty = place / "empty.db"
        MlflowClient(f"sqlite:///{empty}").search_experiments()
        (place / "auth.ini").write_text(CONFIG.format(database=database))
        settings = {
            "MLFLOW_AUTH_CONFIG_PATH": str(place / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
            "MLFLOW_AUTH_ADMIN_PASSWORD": password("admin"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
        }
        os.environ |= settings
        with gated("octavo-basic-auth", database, place, **settings) as address:
            yield Server(Team(address), create_engine(database), place, empty)


@contextmanager
def _database(place: Path) -> Iterator[str]:
    programs = servers.postgresql_programs()
    if programs is None:
        yield f"sqlite:///{place}/mlflow.db"
        return
    with servers.postgresql(programs) as postgresql:
        yield servers.new_database(postgresql)


@dataclass(frozen=True)
class Shared:
    """A promoted model on the server, its project's folder, and its people: version 3 is champion, 4 could be next."""

    server: Server
    folder: Path
    model: str
    people: dict[str, str]
    """Role -> user."""
    log: str
    """The run of the audit log."""
    experiments: dict[str, str]
    """Name -> id."""
    versions: dict[str, dict[str, str]]
    """Version -> run and logged model."""

    def be(self, role: str) -> None:
        """Use the server as somebody of that role."""
        os.environ["MLFLOW_TRACKING_URI"] = self.server.team.address
        if role == "nobody":
            os.environ.pop("MLFLOW_TRACKING_USERNAME", None)
            os.environ.pop("MLFLOW_TRACKING_PASSWORD", None)
        else:
            self.server.team.become(self.people[role])

    def held(self) -> State:
        """What no request may change, whoever sends it."""
        rows, model = self.server.rows, self.model
        found = rows("SELECT alias, version FROM registered_model_aliases WHERE name = :m ORDER BY alias", m=model)
        tags = rows("SELECT key, value FROM registered_model_tags WHERE name = :m ORDER BY key", m=model)
        marks = rows(
            "SELECT version, key, value FROM model_version_tags WHERE name = :m ORDER BY version, key", m=model
        )
        there = rows(
            "SELECT version FROM model_versions WHERE name = :m AND current_stage <> 'Deleted_Internal'", m=model
        )
        return {
            "aliases": [row for row in found if typed_text.like(row[0], standing.ORDER)],
            "tags of the model": [row for row in tags if row[0] in (HEAD, LOG)],
            "tags of versions": [row for row in marks if row[1] in KEPT and str(row[0]) in "23"],
            "versions": sorted(version for (version,) in there if str(version) in "23"),
            "people": rows("SELECT * FROM users ORDER BY id"),
            "permissions": [row for row in rows(PERMISSIONS) if row[1] in (model, *self.experiments.values())],
        }

    def loose(self) -> State:
        """What a server with MLflow's permissions lets some people change, and what the audit is there for."""
        rows, model = self.server.rows, self.model
        runs = [self.log, *(each["run"] for each in self.versions.values())]
        named = {f"r{place}": run for place, run in enumerate(runs)}
        listed = ", ".join(f":{name}" for name in named)
        experiments = "SELECT experiment_id, name, lifecycle_stage FROM experiments ORDER BY experiment_id"
        return {
            "tags of the model": rows(
                "SELECT key, value FROM registered_model_tags WHERE name = :m ORDER BY key", m=model
            ),
            "tags of versions": rows(
                "SELECT version, key, value FROM model_version_tags WHERE name = :m ORDER BY version, key", m=model
            ),
            "versions": rows(
                "SELECT version, source, run_id, storage_location, status, current_stage FROM model_versions "
                "WHERE name = :m ORDER BY version",
                m=model,
            ),
            "runs": rows(
                f"SELECT run_uuid, lifecycle_stage, artifact_uri FROM runs WHERE run_uuid IN ({listed}) ORDER BY 1",
                **named,
            ),
            "tags of the log": rows("SELECT key, value FROM tags WHERE run_uuid = :r ORDER BY key", r=self.log),
            "experiments": [row for row in rows(experiments) if str(row[0]) in self.experiments.values()],
            "logged models": [
                row
                for row in rows("SELECT model_id, lifecycle_stage, artifact_location FROM logged_models ORDER BY 1")
                if row[0] in {each["model"] for each in self.versions.values()}
            ],
            "files": self.files(),
        }

    @property
    def places(self) -> list[Path]:
        """Folders of the artifacts."""
        return [self.server.folder / "artifacts" / number for number in self.experiments.values()]

    def files(self) -> dict[str, str]:
        """The digest of each artifact."""
        found = (path for place in self.places for path in place.rglob("*") if path.is_file())
        return {str(path): _digest(path, path.stat()) for path in found}

    def judged(self, files: dict[str, str]) -> dict[str, str]:
        """Of these files those that records vouch for: of the models that were promoted, and of the log itself."""
        models = {each["model"] for version, each in self.versions.items() if version in "23"}

        def is_judged(path: Path) -> bool:
            _, folder, name, *inner = path.relative_to(self.server.folder / "artifacts").parts
            if folder == "models":
                return name in models and path.name not in UNJUDGED
            return folder == self.log and inner[0] in ("records", "grounds")

        return {path: digest for path, digest in files.items() if is_judged(Path(path))}

    def audit(self) -> tuple[int | None, str]:
        """Exit code and stderr of `octavo audit`, by the manager."""
        found = alone(self._audit)
        return (None, found.why) if isinstance(found, Died) else found

    def _audit(self) -> tuple[int | None, str]:
        self.be("manager")
        os.chdir(self.folder)
        code, _, err = command(["audit"])
        return code, err

    def is_recorded(self) -> bool:
        """Whether each alias stands where the last record of the log found it, or where it leaves it."""
        return bool(alone(self._is_recorded) is True)

    def _is_recorded(self) -> bool:
        self.be("manager")
        client = MlflowClient(self.server.team.address)
        now = standing.state(client, self.model)
        last = audit_log.last(client, now)
        return not aliases.strayed(now, last)

    def keep(self) -> "Kept":
        """All of it, to restore it from."""
        copy = self.folder.with_name(f"{self.folder.name}-kept")
        shutil.rmtree(copy, ignore_errors=True)
        for place in self.places:
            if place.exists():
                shutil.copytree(place, copy / place.name)
        return Kept(copy, {table: self._selected(table) for table in (*MENDED, *FILLED)})

    def restore(self, kept: "Kept") -> None:
        """Let artifacts and rows be as they were kept."""
        for place in self.places:
            shutil.rmtree(place, ignore_errors=True)
            if (kept.artifacts / place.name).exists():
                shutil.copytree(kept.artifacts / place.name, place)
        with self.server.engine.begin() as connection:
            for table in FILLED:
                connection.execute(text(f"DELETE FROM {table} WHERE {self._where(table)}"))
            numbers = ", ".join(self.versions)
            connection.execute(
                text(f"DELETE FROM model_versions WHERE name = '{self.model}' AND version NOT IN ({numbers})")
            )
            for table, key in MENDED.items():
                for row in kept.rows[table]:
                    others = ", ".join(f"{column} = :{column}" for column in row if column not in key)
                    where = " AND ".join(f"{column} = :{column}" for column in key)
                    connection.execute(text(f"UPDATE {table} SET {others} WHERE {where}"), row)
            for table in FILLED:
                for row in kept.rows[table]:
                    columns = ", ".join(row)
                    values = ", ".join(f":{column}" for column in row)
                    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)

    def _selected(self, table: str) -> list[State]:
        with self.server.engine.connect() as connection:
            found = connection.execute(text(f"SELECT * FROM {table} WHERE {self._where(table)}"))
            return [dict(row) for row in found.mappings()]

    def _where(self, table: str) -> str:
        """Which rows of the table are of this model."""
        experiments = ", ".join(self.experiments.values())
        if table in ("experiments", "runs", "logged_models"):
            return f"experiment_id IN ({experiments})"
        if table == "tags":
            return f"run_uuid = '{self.log}'"
        return f"name = '{self.model}'"


@dataclass(frozen=True)
class Kept:
    """Artifacts and rows of a model, as they were."""

    artifacts: Path
    rows: dict[str, list[State]]


MENDED = {
    "registered_models": ("name", "workspace"),
    "model_versions": ("name", "version", "workspace"),
    "experiments": ("experiment_id",),
    "runs": ("run_uuid",),
    "logged_models": ("model_id",),
}
"""Tables whose rows are set back, and what names a row; MLflow's clients mark rows as deleted, and leave them."""
FILLED = ("registered_model_aliases", "registered_model_tags", "model_version_tags", "tags")
"""Tables whose rows are put back."""


def _digest(path: Path, stat: os.stat_result) -> str:
    """Of the file's content, which is read again only where the file looks changed."""
    looks = (str(path), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    if looks not in DIGESTS:
        DIGESTS[looks] = hashlib.sha256(path.read_bytes()).hexdigest()
    return DIGESTS[looks]


DIGESTS: dict[tuple[object, ...], str] = {}


def share(server: Server, number: int) -> Shared:
    """A promoted model of its own on the server."""
    folder, fields = surely(lambda: _share(server, server.folder / f"project-{number}"))
    return Shared(server, folder, **fields)


def _share(server: Server, folder: Path) -> tuple[Path, State]:
    folder.mkdir()
    os.chdir(folder)
    people = {role: server.team.add() for role in ROLES[1:]}
    server.team.become(people["manager"])
    project = measured_project.make(folder, server.empty, "onnx_fp32", VARIANT)
    model = team.share(project, server.team.address)
    project.register()
    for factor in (1.01, 1.02):
        _do("promote", VARIANT)
        project.weigh(VARIANT, WEIGHTS * np.float32(factor))
        project.register()
    names = (model, f"{model}.audit")
    server.team.grant(people["editor"], "EDIT", *names)
    client = project.client()
    found = {str(each.version): each for each in client.search_model_versions(f"name = '{model}'")}
    experiments = {name: client.get_experiment_by_name(name) for name in names}
    return folder, {
        "model": model,
        "people": people,
        "log": client.get_registered_model(model).tags[LOG],
        "experiments": {name: str(each.experiment_id) for name, each in experiments.items() if each},
        "versions": {
            number: {"run": str(each.run_id), "model": str(each.source).removeprefix("models:/")}
            for number, each in found.items()
        },
    }


def _do(*arguments: str) -> None:
    code, out, err = command(arguments)
    if code != 0:
        raise RuntimeError(f"octavo {' '.join(arguments)}: {code}, {out}, {err}")
