"""Checks of the project in the working directory: its params, and whether its pipeline is that of this version."""

from collections.abc import Iterator
from pathlib import Path

from octavo.project.errors import OctavoError
from octavo.project.params.params import PARAMS, load_params
from octavo.project.setting_up import shipped, upgrade
from octavo.project.setting_up.examination.check_result import CheckResult


def check() -> Iterator[CheckResult]:
    """`params.yaml` and `dvc.yaml`."""
    if not PARAMS.exists():
        yield CheckResult("project", f"none in {Path.cwd()}; to make one: octavo init")
        return
    try:
        params = load_params()
        yield CheckResult("params.yaml", f"{len(params.variants)} variants, model '{params.registry.model}'")
    except OctavoError as error:
        yield CheckResult("params.yaml", str(error), f"Correct {PARAMS}.")
    try:
        old = upgrade.changes_of(Path())
        yield CheckResult(
            shipped.PIPELINE,
            f"{', '.join(map(str, old))} differ from this version's" if old else "that of this version",
            "Run: octavo upgrade" if old else "",
        )
    except OctavoError as error:
        yield CheckResult(shipped.PIPELINE, str(error), "Run: octavo init, in a folder without one.")
