"""What one check of `octavo doctor` found."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckResult:
    """One line of `octavo doctor`: what was looked at, what was found, and what to type if that is not in order."""

    name: str
    said: str
    todo: str = ""
    """Empty if all is well."""
    mend: Callable[[], object] | None = None
    """Repairs it, if `--mend` can."""

    @property
    def ok(self) -> bool:
        return not self.todo
