"""`octavo webhook` with a real MLflow that delivers, and with others who pretend to be one."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from octavo_mlflow.webhooks.receiver import EVENT, LARGEST
from tests import servers
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import WEIGHTS, Project
from tests.octavo_mlflow.team import share
from tests.octavo_mlflow.webhooks.test_delivery import signed

ROOT = Path(__file__).parents[3]
VARIANT = "litert_int8_static"
pytestmark = pytest.mark.slow


@pytest.fixture
def shared(project: Project, gated_server: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project at a server that delivers web hooks, with a script `deploy` that notes the versions it is given."""
    share(project, gated_server)
    monkeypatch.setenv("OCTAVO_WEBHOOK_SECRET", secrets.token_hex())
    script = Path("deploy")
    script.write_text("#!/bin/sh\necho $OCTAVO_VERSION >> noted\n")
    script.chmod(0o755)
    project.register()
    return project


@contextmanager
def listening(*options: str) -> Iterator[str]:
    """`octavo webhook listen` with the command `./deploy`, until the block ends; yields its address."""
    port = servers.free_port()
    command = [
        sys.executable,
        "-c",
        "from octavo.project.cli import main; main()",
        "webhook",
        "listen",
        "--port",
        str(port),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with Path("log").open("ab") as log:
        process = subprocess.Popen([*command, *options, "--", "./deploy"], stdout=log, stderr=log, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or answers(f"{address}/health"))
        assert process.poll() is None, Path("log").read_text()
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "Traceback" not in Path("log").read_text()


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, Path("log").read_text()
        time.sleep(0.05)


def answers(page: str) -> bool:
    try:
        return requests.get(page, timeout=2).ok
    except OSError:
        return False


def noted() -> list[str]:
    return Path("noted").read_text().split() if Path("noted").exists() else []


def remembered(project: Project) -> dict[str, Any]:
    path = Path(f"reports/webhook/{project.params.registry.model}.champion/memory.json")
    return dict(json.loads(path.read_text())) if path.exists() else {}


def test_a_promotion_is_delivered_and_triggers_a_deployment(shared: Project, octavo: Octavo) -> None:
    with listening("--every", "3600") as address:
        code, stdout, stderr = octavo("webhook", "register", address)
        assert code == 0
        assert f"MLflow delivers {EVENT} to {address}, web hook " in stdout
        assert stderr == "octavo: a test delivery was accepted.\n"
        assert "(renewed)" in octavo("webhook", "register", address)[1]
        octavo("promote", VARIANT)
        until(lambda: noted() == ["2"])
        shared.weigh(VARIANT, WEIGHTS * 1.01)
        shared.register()
        octavo("promote", VARIANT)
        until(lambda: noted() == ["2", "3"])
        until(lambda: remembered(shared)["version"] == "3")
    octavo("rollback")
    with listening("--every", "3600"):
        until(lambda: noted() == ["2", "3", "2"])
        until(lambda: remembered(shared)["version"] == "2")
    with listening("--every", "1"):
        octavo("rollback", "3")
        until(lambda: noted() == ["2", "3", "2", "3"])
    assert os.environ["OCTAVO_WEBHOOK_SECRET"] not in Path("log").read_text()


def test_others_cannot_trigger_it(shared: Project, octavo: Octavo) -> None:
    octavo("promote", VARIANT)
    model, secret = shared.params.registry.model, os.environ["OCTAVO_WEBHOOK_SECRET"]

    def told(**fields: str) -> str:
        data = {"name": model, "alias": "champion", "version": "1"} | fields
        return json.dumps({"entity": "model_version_alias", "action": "created", "timestamp": "now", "data": data})

    body, now = told(), time.time()
    with listening("--every", "3600") as address:
        until(lambda: noted() == ["2"])
        replayed = signed(body, secret, "seen", now)
        answered = [
            (requests.post(address, data=body, headers=headers, timeout=10).status_code, headers)
            for headers in (
                {},
                signed(body, "a guess", "forged", now),
                signed(told(version="2"), secret, "of another body", now),
                signed(body, secret, "stale", now - 301),
                signed(body, secret, "from the future", now + 400),
                replayed,
                replayed,
            )
        ]
        assert [code for code, _ in answered] == [401, 401, 401, 400, 400, 202, 409]
        for text, status in ((told(name="other"), 200), (told(alias="anchor"), 200), ("{}", 400)):
            headers = signed(text, secret, text, now)
            assert requests.post(address, data=text, headers=headers, timeout=10).status_code == status
        assert requests.post(address, data=b"x" * (LARGEST + 1), timeout=10).status_code == 413
        assert requests.get(address, timeout=10).status_code == 405
    with listening("--every", "3600") as address:
        assert requests.post(address, data=body, headers=replayed, timeout=10).status_code == 409
    assert noted() == ["2"]


def test_mistakes_get_a_sentence(shared: Project, octavo: Octavo) -> None:
    code, _, stderr = octavo("webhook", "listen", "--", "no-such-command")
    assert (code, "There is no command no-such-command here." in stderr) == (1, True)
    code, _, stderr = octavo("webhook", "register", "ftp://127.0.0.1")
    assert (code, "MLflow does not deliver to ftp://127.0.0.1: Invalid webhook URL scheme" in stderr) == (1, True)
    code, _, stderr = octavo("webhook", "register", f"http://127.0.0.1:{servers.free_port()}")
    assert (code, "octavo: a test delivery failed: " in stderr) == (0, True)
    with listening():
        code, _, stderr = octavo("webhook", "listen", "--", "./deploy")
        assert (code, "runs already: process " in stderr) == (3, True)
    os.environ.pop("OCTAVO_WEBHOOK_SECRET")
    for command in (["listen", "--", "./deploy"], ["register", "http://127.0.0.1:1"]):
        code, _, stderr = octavo("webhook", *command)
        assert (code, "OCTAVO_WEBHOOK_SECRET is not set." in stderr) == (1, True)
