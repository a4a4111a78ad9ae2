"""Projects and machines to schedule them on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.octavo_mlflow.scheduling.machine import Machine, make_project, wait_for


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in a folder whose name has all that a shell, cron or systemd would read something into."""
    return make_project(tmp_path_factory.mktemp("projects") / """50%h of ${HOME}'s "digits" [a-z] \\n;""")


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """Another project in a folder of the same name."""
    return make_project(tmp_path_factory.mktemp("others") / project.name)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    """A machine without systemd."""
    machine = Machine(home, systemd=False)
    yield machine
    machine.close()


@pytest.fixture
def systemd_machine(home: Path) -> Iterator[Machine]:
    """A machine where systemd runs for the user."""
    machine = Machine(home, systemd=True)
    if not wait_for(lambda: machine.run("systemctl", "--user", "is-active", "basic.target").returncode == 0):
        machine.close()
        pytest.skip("systemd does not come up in namespaces here")
    yield machine
    machine.close()
