"""What every test can rely on: it starts from the same process state, and the quick tests come first."""

import functools
import gc
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from xdist.scheduler import LoadFileScheduling

from octavo.data import sources
from octavo.data.input_encoding import encode
from octavo.data.splits import Samples, Split
from octavo.project.params.data import Data
from tests import process, servers

HEAVY = ("slow", "browser", "end_to_end")
GROUPS = ("thorough", "end_to_end", "contracts", "emulator", "browser", "slow")
"""Markers, or folders of tests. What is in none is quick."""
EXAMPLES = int(os.environ.get("OCTAVO_EXAMPLES", "60"))
"""Of a property test that does not say itself; `.ci/full` asks for more."""
hypothesis.settings.register_profile("untimed", deadline=None, max_examples=EXAMPLES)  # no test is a timing
hypothesis.settings.load_profile("untimed")
ROOT = Path(__file__).parents[1]
SERVED = re.compile(r"\b(?:store|team|careful_team|gated_server|server_sqlite|server_postgresql): ")
"""Parameters that stand for a server, or for each kind of store in turn."""
SERVICES = ("MLFLOW_", "DVC_")
MakeOnce = Callable[[str, Callable[[Path], object]], Path]


class ByFile(LoadFileScheduling):
    """A file's tests go to one process, and so do all files whose tests share servers: each server starts once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "servers" if _shares_servers(file) else file


@functools.cache
def _shares_servers(file: str) -> bool:
    return bool(SERVED.search((ROOT / file).read_text(encoding="utf-8")))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection(session: pytest.Session) -> None:
    """Modules are not garbage: to look for it while they load, and among them later, is a tenth of all tests' time."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: any(item.get_closest_marker(name) for name in HEAVY))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seconds of each group of tests, fixtures included, summed over the processes that ran them."""
    reports = [
        each for found in terminalreporter.stats.values() for each in found if isinstance(each, pytest.TestReport)
    ]
    seconds, tests = defaultdict[str, float](float), Counter[str]()
    for report in reports:
        seconds[group(report)] += report.duration
        tests[group(report)] += report.when == "call"
    terminalreporter.section("seconds per group, summed over processes")
    for name, spent in sorted(seconds.items(), key=lambda found: -found[1]):
        terminalreporter.write_line(f"{name:<12}{tests[name]:>6} tests{spent:>8.0f} s")


def group(report: pytest.TestReport) -> str:
    """The first of the groups that a test belongs to."""
    names = (name for name in GROUPS if name in report.keywords or report.nodeid.startswith(f"tests/{name}/"))
    return next(names, "quick")


@pytest.fixture(scope="session", autouse=True)
def settings() -> Iterator[None]:
    """Run the tests, and the servers that they share, without the caller's MLflow and DVC settings."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(SERVICES)]:
            environment.delenv(name)
        environment.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        yield


@pytest.fixture(autouse=True, scope="module")
def module_state() -> Iterator[None]:
    """Undo what a module's own fixtures do to the process."""
    with process.undone():
        yield


@pytest.fixture(autouse=True)
def process_state(module_state: None) -> Iterator[None]:
    """Undo what the test does to the process."""
    with process.undone():
        yield


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """The digits that `exported` was not trained on, float32 (300, 28, 28) in 0..1."""
    return encode(sources.load(Data(source="digits")).train[0][:300])


@pytest.fixture(scope="session")
def samples() -> Samples:
    """What recipes may look at, uint8 as stored: 100 digits to calibrate, and the 300 of `images` to choose by."""
    images, labels = sources.load(Data(source="digits")).train
    return Samples(images[300:400], Split(images[:300], labels[:300]))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Fill a folder once for all processes of this run: `made_once("name", fill)`. Tests read it and leave it alone."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder = root / "made-once" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                half = folder.with_name(f"{name}.half")
                shutil.rmtree(half, ignore_errors=True)
                half.mkdir()
                fill(half)
                half.rename(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def train_network(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains the network of that name in a process of its own, twice if called twice."""

    def train(name: str, source: str = "digits", form: str = "both") -> Path:
        folder = tmp_path_factory.mktemp(name)
        command = [sys.executable, "-m", "tests.trained_network", name, str(folder), source, form]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return folder

    return train


@pytest.fixture(scope="session")
def exported(train_network: Callable[..., Path], made_once: MakeOnce) -> Path:
    """The small network, trained and exported: folders `fp32` and `qat`."""
    return made_once(
        "small_cnn", lambda folder: shutil.copytree(train_network("small_cnn"), folder, dirs_exist_ok=True)
    )


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """A PostgreSQL, by the URL that `servers.new_database` takes."""
    programs = servers.postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (on Debian the package postgresql)")
    with servers.postgresql(programs) as url:
        yield url


@pytest.fixture(scope="session")
def server_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server over SQLite, for all tests: each has model and experiment names of its own."""
    folder = tmp_path_factory.mktemp("server-sqlite")
    with servers.tracking(f"sqlite:///{folder}/mlflow.db", folder) as address:
        yield address


@pytest.fixture(scope="session")
def server_postgresql(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server over PostgreSQL, for all tests: each has names of its own."""
    with servers.tracking(servers.new_database(postgresql), tmp_path_factory.mktemp("server-postgresql")) as address:
        yield address
