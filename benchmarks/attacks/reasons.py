"""Why a command does the same although something was changed: what was changed has no bearing on it."""

from collections.abc import Iterable
from typing import Any

from benchmarks.attacks.kind import Kind


def why(kind: Kind, command: str) -> str:
    return ""


def told(found: Iterable[Any]) -> list[str]:
    return []
