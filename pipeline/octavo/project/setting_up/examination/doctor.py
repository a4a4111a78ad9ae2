"""`octavo doctor`: check the machine, what is installed, and the project.

Rooms add checks as entry points of the group `octavo.checks`: functions without arguments that yield findings. So the
base install checks what it has, without MLflow.
"""

import json
from collections.abc import Iterator
from importlib.metadata import entry_points

import click

from octavo.project import extras
from octavo.project.errors import OctavoError
from octavo.project.setting_up.examination import environment_checks, installed_checks, project_checks
from octavo.project.setting_up.examination.check_result import CheckResult


def doctor(mend: bool, as_json: bool) -> None:
    """Do what `octavo doctor` asks for, and print it.

    Raises:
        OctavoError: something is not in order.
    """
    found = list(findings())
    if mend and (broken := [each for each in found if each.mend]):
        for each in broken:
            assert each.mend
            each.mend()
        found = list(findings())
    click.echo(_as_json(found) if as_json else "\n".join(map(_line, found)))
    bad = [each for each in found if not each.ok]
    if mend and any(each.mend for each in bad):
        raise OctavoError("The repair failed. Perhaps another process uses these files: try again when it has ended.")
    if bad:
        them = "1 line needs" if len(bad) == 1 else f"{len(bad)} lines need"
        raise OctavoError(f"{them} something: {', '.join(each.name for each in bad)}. Do what the line says.")


def findings() -> Iterator[CheckResult]:
    """All findings, those of this package first."""
    yield from installed_checks.check()
    yield from environment_checks.check()
    yield from project_checks.check()
    for entry in sorted(entry_points(group="octavo.checks"), key=lambda each: each.name):
        try:
            yield from entry.load()()
        except ModuleNotFoundError as fault:
            if extras.sentence(fault) is None:
                raise
            continue  # the line of the extra says it
        except OctavoError as error:
            yield CheckResult(entry.name, str(error), "Correct that, then run octavo doctor again.")


def _line(found: CheckResult) -> str:
    said = found.said if found.ok else f"{found.said.rstrip('.')}. {found.todo}"
    return f"{'ok' if found.ok else '->':<4}{found.name:<12}{said}"


def _as_json(found: list[CheckResult]) -> str:
    lines = [{"name": each.name, "ok": each.ok, "found": each.said, "todo": each.todo or None} for each in found]
    return json.dumps({"ok": all(each.ok for each in found), "findings": lines}, indent=1)
