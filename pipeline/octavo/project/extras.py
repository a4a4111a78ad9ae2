"""Libraries that only an extra installs, such as `pip install 'octavo[train]'`, and the message if one is missing.

`errors.boundary` prints the message; `story` prints it for a stage's imports, which run before the boundary. A module
that can work without the library binds the name to `absent`:

    try:
        from octavo.data.sources import digits
    except ModuleNotFoundError as fault:
        digits = extras.absent(fault)
"""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

EXTRAS = {
    "digits": ("sklearn",),
    "dvc": ("dvc",),
    "litert": ("ai_edge_litert", "flatbuffers"),
    "mlflow": (
        "mlflow", "fastapi", "flask", "h11", "matplotlib", "requests", "sklearn", "sqlalchemy", "starlette", "tzlocal",
        "uvicorn",
    ),
    "parquet": ("pyarrow",),
    "signing": ("cryptography", "model_signing", "OpenSSL"),
    "train": ("tensorflow", "h5py", "keras", "tensorflow_model_optimization", "tf_keras", "tf2onnx"),
}  # fmt: skip
"""Extra -> import names that it adds to the base install. A message names the first extra that has the library."""


class _Absent:
    """Placeholder for a module that is not installed. Any use raises the error of its import, as a sentence."""

    def __init__(self, fault: ModuleNotFoundError) -> None:
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        raise ModuleNotFoundError(sentence(self._fault), name=self._fault.name)


def absent(fault: ModuleNotFoundError) -> Any:
    """A placeholder for a module whose import failed with `fault`. See the example above.

    Raises:
        ModuleNotFoundError: `fault` itself, if no extra installs the missing library.
    """
    if sentence(fault) is None:
        raise fault
    return _Absent(fault)


def require(*names: str) -> None:
    """Check that these extras are installed. For a command that starts other processes: it fails before it starts them.

    Raises:
        ModuleNotFoundError: one of the extras is not installed.
    """
    for module in (EXTRAS[name][0] for name in names):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)


def missing(names: Iterable[str]) -> list[str]:
    """Those of these extras that are not installed."""
    return [name for name in names if find_spec(EXTRAS[name][0]) is None]


def command(name: str) -> str:
    """What installs an extra."""
    return f"pip install 'octavo[{name}]'"


def sentence(fault: ModuleNotFoundError) -> str | None:
    """The missing library and how to install it, as a message; None if no extra installs it."""
    top = (fault.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if top in modules), None)
    return extra and f"This needs {top}, which is not installed. Run: {command(extra)}"
