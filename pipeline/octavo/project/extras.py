"""Libraries that only an extra installs, as `pip install 'octavo[train]'`, and what is said where one is missing.

`errors.boundary` prints the sentence, and `story` for what a stage imports before its boundary. A module that goes on
without the library binds the name to `absent`:

    try:
        from octavo.data.sources import digits
    except ModuleNotFoundError as fault:
        digits = extras.absent(fault)
"""

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
    "signing": ("cryptography", "model_signing", "OpenSSL"),
    "train": ("tensorflow", "tensorflow_model_optimization", "tf_keras", "tf2onnx"),
}  # fmt: skip
"""Extra -> the import names that it adds to the base install. The first extra that has a library is the one to name."""


class _Absent:
    """Stands for a module that could not be imported: every use raises what its import raised, as a sentence."""

    def __init__(self, fault: ModuleNotFoundError) -> None:
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        raise ModuleNotFoundError(sentence(self._fault), name=self._fault.name)


def absent(fault: ModuleNotFoundError) -> Any:
    """What to bind the name of a module to whose import failed with `fault`.

    Raises:
        ModuleNotFoundError: `fault`, if no extra installs the missing library.
    """
    if sentence(fault) is None:
        raise fault
    return _Absent(fault)


def require(*names: str) -> None:
    """For a command whose other processes need extras: find out before anything is started.

    Raises:
        ModuleNotFoundError: an extra of these is not installed.
    """
    for module in (EXTRAS[name][0] for name in names):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)


def sentence(fault: ModuleNotFoundError) -> str | None:
    """What is missing and how to install it; None if no extra installs it."""
    top = (fault.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if top in modules), None)
    return extra and f"This needs {top}, which is not installed. Run: pip install 'octavo[{extra}]'"
