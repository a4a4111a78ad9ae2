"""What tests do to their own process, undone."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def undone() -> Iterator[None]:
    """Undo at the end what the block does to the working directory, the environment and MLflow's settings."""
    folder, environment = Path.cwd(), dict(os.environ)
    try:
        yield
    finally:
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].set_tracking_uri(None)
            sys.modules["mlflow"].set_registry_uri(None)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
