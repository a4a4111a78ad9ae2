"""Projects that have been measured, and MLflow servers."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline import cli, layout
from pipeline.params import load_params
from pipeline.scorecard import Scorecards
from tests.mlflow_plugins.measured_project import MakeProject, Project, Serve, content, measured, write_test_split

Octavo = Callable[..., tuple[int | str | None, str, str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database without runs: making its tables takes MLflow longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> MakeProject:
    """Make a project of the variants named, or of all in params.yaml, and go there."""

    def make(*variants: str) -> Project:
        folder = tmp_path / "project"
        folder.mkdir()
        monkeypatch.chdir(folder)
        shutil.copy(ROOT / "params.yaml", folder)
        shutil.copy(empty_store, folder)
        params = load_params()
        write_test_split()
        names = list(variants or params.variants)
        cards = [
            measured(name, content(name), layout.logits(names[0]) if place else None)
            for place, name in enumerate(names)
        ]
        project = Project(
            folder,
            params,
            Scorecards(pipeline="repro-1", machine={"cpu": "test"}, data={"source": "digits"}, scorecards=cards),
        )
        project.write()
        return project

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


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """One variant of each format."""
    return make_project("onnx_fp32", "litert_int8_static")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a server on a free port of loopback, wait until `page` answers, and stop it after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(arguments: list[str], page: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = tmp_path / f"server-{port}.log"
        command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
        environment = os.environ | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # MLflow starts uvicorn by name
        }
        with log.open("wb") as output:
            started.append(
                subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=environment)
            )
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            if started[-1].poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{address}{page}", timeout=2).close()
            except OSError:
                time.sleep(0.25)
            else:
                return address
        pytest.fail(f"no answer from {' '.join(command)}:\n{log.read_text()[-3000:]}")

    yield start
    for process in started:
        os.killpg(process.pid, 15)
        process.wait(30)
