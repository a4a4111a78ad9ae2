"""Projects that have been measured, and MLflow servers."""

import os
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import mlflow
import pytest
import yaml
from click import Command
from click.testing import CliRunner
from mlflow import MlflowClient
from sqlalchemy import Engine, event

from octavo.project import cli, paths
from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.tracking import connection
from tests import process, servers
from tests.conftest import MakeOnce
from tests.octavo_mlflow import measured_project
from tests.octavo_mlflow.measured_project import PARAMS, KeepProject, Later, MakeProject, Project, Serve
from tests.octavo_mlflow.team import Team, gated, password

Octavo = Callable[..., tuple[int | str | None, str, str]]


@event.listens_for(Engine, "connect")
def hasten(opened: object, _: object) -> None:
    """SQLite waits for no disk, since nothing here has to survive a power cut; it is most of what a commit takes."""
    if isinstance(opened, sqlite3.Connection):
        opened.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def empty_store(made_once: MakeOnce) -> Path:
    """A tracking database without runs: making its tables takes MLflow longer than most tests."""

    def fill(folder: Path) -> None:
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return made_once("empty-store", fill) / "mlflow.db"


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> MakeProject:
    """Make a project of the variants named, or of all in params.yaml, and go there."""

    def make(*variants: str) -> Project:
        folder = tmp_path / "project"
        folder.mkdir()
        monkeypatch.chdir(folder)
        return measured_project.make(folder, empty_store, *variants)

    return make


@pytest.fixture
def octavo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Octavo:
    """Run the `octavo` command: its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["octavo", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def gated_server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with Octavo's gate, which may deliver web hooks to loopback."""
    folder = tmp_path_factory.mktemp("gated-server")
    database = f"sqlite:///{shutil.copy(empty_store, folder)}"
    hooks = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "0",
    }
    with gated("octavo", database, folder, **hooks) as address:
        yield address


@pytest.fixture(scope="session")
def team(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A server over PostgreSQL with Octavo's gate that asks people who they are."""
    with _asking("team", servers.new_database(postgresql), tmp_path_factory) as address:
        yield Team(address)


@pytest.fixture(scope="session")
def careful_team(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A server over SQLite that asks people who they are, and whose policy asks for one approval."""
    folder = tmp_path_factory.mktemp("careful")
    policy = yaml.safe_load(PARAMS.read_text())["policy"] | {"approvals": 1}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    database = f"sqlite:///{shutil.copy(empty_store, folder)}"
    with _asking("careful-team", database, tmp_path_factory, OCTAVO_POLICY=f"{folder}/policy.yaml") as address:
        yield Team(address)


@contextmanager
def _asking(name: str, database: str, places: pytest.TempPathFactory, **others: str) -> Iterator[str]:
    """The address of a server with Octavo's gate that asks people who they are."""
    folder = places.mktemp(name)
    people = database.replace("mlflow.db", "people.db")
    settings = folder / "basic_auth.ini"
    settings.write_text(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {people}\nauth_cache_ttl_seconds = 60\n")
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
        "MLFLOW_AUTH_ADMIN_PASSWORD": password("admin"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(),
    }
    with gated("octavo-basic-auth", database, folder, **environment, **others) as address:
        yield address


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """One variant of each format."""
    return make_project("onnx_fp32", "litert_int8_static")


@pytest.fixture(scope="session")
def keep_project(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> KeepProject:
    """Make a project with one variant of each format, `fill` it, and copy it for `measured_project.brought_back`."""

    def keep(fill: Callable[[Project], object]) -> Project:
        folder = tmp_path_factory.mktemp("kept") / "project"
        folder.mkdir()
        with process.undone():
            os.chdir(folder)
            project = measured_project.make(folder, empty_store, "onnx_fp32", "litert_int8_static")
            fill(project)
        shutil.copytree(folder, folder.with_name("pristine"))
        return project

    return keep


@pytest.fixture(scope="session")
def registered_once(keep_project: KeepProject) -> Project:
    """For `registered`, which brings it back before each test."""
    return keep_project(Project.register)


@pytest.fixture
def registered(registered_once: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """One variant of each format, registered as versions 1 and 2: as quick as `project` is without versions."""
    monkeypatch.chdir(registered_once.folder)
    mlflow.set_tracking_uri(connection.uri())  # as `register` does
    return measured_project.brought_back(registered_once)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("server_sqlite", marks=[pytest.mark.slow, pytest.mark.thorough]),
        pytest.param("server_postgresql", marks=pytest.mark.slow),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The tracking URI of each kind of store in turn; tests share the servers, so each takes names of its own.

    Day by day it is SQLite, and a server over PostgreSQL; a server over SQLite runs the same code of both, at night.
    """
    if request.param != "sqlite":
        return str(request.getfixturevalue(request.param))
    shutil.copy(request.getfixturevalue("empty_store"), tmp_path / "store.db")
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def name() -> str:
    """A registered model, or an experiment, that no other test uses."""
    return f"model-{uuid4().hex}"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Lets that much time pass, as far as the mutex can tell."""
    real, passed = lease.now, timedelta(0)

    def wait(more: timedelta) -> None:
        nonlocal passed
        passed += more
        monkeypatch.setattr(lease, "now", lambda: real() + passed)

    return wait


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server on a free port of loopback, wait until `page` answers, and stop it after the test."""
    with ExitStack() as started:
        yield lambda arguments, page: started.enter_context(servers.mlflow(arguments, tmp_path, page))


def typed(command: Command, *arguments: str) -> None:
    assert CliRunner().invoke(command, arguments).exit_code == 0


def own_copy() -> Path:
    """This machine's copy of the audit log of the model called octavo."""
    (path,) = paths.AUDIT_LOGS.glob("octavo.*.jsonl")
    return path
