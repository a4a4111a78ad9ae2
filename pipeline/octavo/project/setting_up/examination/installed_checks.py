"""Checks of what is installed: Python, Octavo's libraries, and the extras that the project needs."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from octavo.project import extras
from octavo.project.errors import OctavoError
from octavo.project.params.params import load_params
from octavo.project.setting_up import needed_extras
from octavo.project.setting_up.examination.check_result import CheckResult

SHOWN = ("onnx", "onnxruntime", "numpy")
"""Libraries of the base install whose versions matter for results."""


def check() -> Iterator[CheckResult]:
    """Python; the base install; a line for each extra."""
    allowed, python = metadata("octavo")["Requires-Python"], platform.python_version()
    fits = SpecifierSet(allowed).contains(python)
    yield CheckResult(
        "Python", python, "" if fits else f"Octavo needs Python {allowed}: make an environment with one, install there."
    )
    wanted = [Requirement(line) for line in requires("octavo") or ()]
    yield _base([each for each in wanted if each.marker is None])
    needed = _needed()
    for extra in extras.EXTRAS:
        listed = [each for each in wanted if each.marker and each.marker.evaluate({"extra": extra})]
        if listed:
            yield _extra(extra, [each for each in listed if each.name != "octavo"], extra in needed)


def _needed() -> list[str]:
    """The extras that the project in the working directory needs; none if there is no project or a faulty one."""
    try:
        return needed_extras.of(load_params())
    except OctavoError:
        return []


def _base(wanted: list[Requirement]) -> CheckResult:
    said = ", ".join(f"{name} {version(name)}" for name in ("octavo", *SHOWN))
    if unfit := _unfit(wanted):
        return CheckResult("octavo", f"{said}; {unfit}", "Run: pip install --upgrade octavo")
    return CheckResult("octavo", said)


def _extra(extra: str, wanted: list[Requirement], is_needed: bool) -> CheckResult:
    """The line of one extra. One that is not installed is in order unless the project needs it."""
    name, install = f"[{extra}]", f"Run: {extras.command(extra)}"
    missing = [each.name for each in wanted if _version(each.name) is None]
    if missing:
        said = "not installed" if len(missing) == len(wanted) else f"{', '.join(missing)} not installed"
        if is_needed:
            return CheckResult(name, f"{said}, and the project needs it", install)
        return CheckResult(name, f"{said}; if you need it: {extras.command(extra)}")
    if unfit := _unfit(wanted):
        return CheckResult(name, unfit, install)
    return CheckResult(name, ", ".join(f"{each.name} {_version(each.name)}" for each in wanted))


def _unfit(wanted: list[Requirement]) -> str:
    """The installed libraries of another version than Octavo needs, in words; empty if all fit."""
    unfit = [
        f"{each.name} {found} is installed, and Octavo needs {each.specifier}"
        for each in wanted
        if (found := _version(each.name)) is None or not each.specifier.contains(found, prereleases=True)
    ]
    return "; ".join(unfit)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
