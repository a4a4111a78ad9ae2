"""Check of `octavo doctor`: networks from MLflow's registry are pinned, and their files are here."""

from collections.abc import Iterator

from octavo.brought import pinned
from octavo.project.errors import OctavoError
from octavo.project.params.params import load_params
from octavo.project.setting_up.examination.check_result import CheckResult


def check() -> Iterator[CheckResult]:
    """A line for each entry of `brought` with a `uri`; none without a project, or where its params are faulty."""
    try:
        brought = load_params().brought
    except OctavoError:  # the line of params.yaml says it
        return
    for name, given in brought.items():
        if given.uri is None:
            continue
        try:
            pinned.require(name, given)
            yield CheckResult(name, f"{given.file} is the pinned version {given.version}")
        except OctavoError as error:
            said, _, todo = str(error).rpartition(". ")
            yield CheckResult(name, said, todo)
