"""What every test can rely on: it starts from the same process state, and the quick tests come first."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from pipeline import sources
from pipeline.params import Data
from pipeline.splits import Samples, Split, pixels

HEAVY = ("slow", "browser", "end_to_end")
hypothesis.settings.register_profile("untimed", deadline=None)  # machines are slow and noisy: no test is a timing
hypothesis.settings.load_profile("untimed")
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


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """The digits that `exported` was not trained on, float32 (300, 28, 28) in 0..1."""
    return pixels(sources.load(Data(source="digits")).train[0][:300])


@pytest.fixture(scope="session")
def samples() -> Samples:
    """What recipes may look at, uint8 as stored: 100 digits to calibrate, and the 300 of `images` to choose by."""
    images, labels = sources.load(Data(source="digits")).train
    return Samples(images[300:400], Split(images[:300], labels[:300]))


@pytest.fixture(scope="session")
def train_network(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains the network of that name in a process of its own, twice if called twice."""

    def train(name: str, source: str = "digits") -> Path:
        folder = tmp_path_factory.mktemp(name)
        command = [sys.executable, "-m", "tests.trained_network", name, str(folder), source]
        subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True)
        return folder

    return train


@pytest.fixture(scope="session")
def exported(train_network: Callable[..., Path]) -> Path:
    """The small network, trained and exported: folders `fp32` and `qat`."""
    return train_network("small_cnn")
