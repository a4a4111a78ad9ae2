"""What every test can rely on: it starts from the same process state, and the quick tests come first."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("slow", "browser", "end_to_end")
SERVICES = ("MLFLOW_", "DVC_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: any(item.get_closest_marker(name) for name in HEAVY))


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """Run the test without the caller's MLflow and DVC settings, and undo what it does to the process."""
    folder, environment = Path.cwd(), dict(os.environ)
    for name in environment:
        if name.startswith(SERVICES):
            del os.environ[name]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
