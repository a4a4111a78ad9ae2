"""The files that Octavo writes into a user's repository. They are equal to those of Octavo's own repository."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")
PIPELINE = "dvc.yaml"
PIPELINE_TEMPLATE = "pipeline.yaml"
"""It is not called `dvc.yaml`, because DVC reads every file of that name, also in an environment in a repository."""
PLOTS = ("curves.json", "tradeoff.json")
"""Templates of plots that `dvc.yaml` names. DVC looks for them in `.dvc/plots`."""
IGNORED_IN_PROJECT = ("/artifacts/", "/reports/", "/nightly.env")
IGNORED_IN_ROOT = ("/mlflow.db*", "/mlruns/", "/mlartifacts/")
NOT_WALKED = (
    "__pycache__", "*.pyc", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", "mlruns", "mlartifacts",
)  # fmt: skip
"""Lines of `.dvcignore`: what DVC neither hashes nor walks through."""
DVC_CONFIG = "[core]\n    analytics = false\n"
"""Of a new `.dvc`: DVC sends no usage data."""
PLAIN = re.compile(r"[A-Za-z_][\w./-]*(:[A-Za-z_]\w*)?", re.ASCII)


def text(name: str) -> str:
    """The content of a shipped file."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def params(**values: Any) -> str:
    """A `params.yaml` with these values."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 - YAML, quoted by `_word`
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["word"] = _word
    return environment.get_template("params.yaml.j2").render(**values)


def _word(value: object) -> str:
    """A text in YAML, in quotes where YAML would read it as something else."""
    word = str(value)
    return word if PLAIN.fullmatch(word) and yaml.safe_load(word) == word else json.dumps(word, ensure_ascii=False)
