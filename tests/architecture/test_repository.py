"""The repository installs anywhere and tells nothing about the machine it was made on."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source_tree import PACKAGES, ROOT
from tests.end_to_end.installed import build_wheel

LARGEST = 1_000_000
MACHINE_PATH = re.compile(r"(?<![\w.~})-])/(?:work|home|root|Users)/")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    """Files in git, and those that `git add .` would put there."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("this checkout is no git repository, so there is no list of its files")
    return [ROOT / name for name in result.stdout.split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def lock() -> list[tuple[Requirement, list[str]]]:
    """Each pin of `requirements.lock` with its hashes."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    return [(Requirement(line.split(" --hash")[0]), HASH.findall(line)) for line in lines]


def requirements() -> list[Requirement]:
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    lists = project["dependencies"], *project["optional-dependencies"].values()
    return [wanted for lines in lists for line in lines if (wanted := Requirement(line)).name != "octavo"]


def test_no_file_is_large(committed: list[Path]) -> None:
    assert {str(file.relative_to(ROOT)) for file in committed if file.stat().st_size > LARGEST} == set()


def test_no_path_of_one_machine(committed: list[Path]) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in committed
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="ignore").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_the_lock_names_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"\S*(?:://|--index|--extra-index|--find-links)\S*", text) == []


def test_every_package_is_pinned_with_hashes(lock: list[tuple[Requirement, list[str]]]) -> None:
    loose = [str(pin) for pin, hashes in lock if not hashes or not re.fullmatch(r"==[^*,]+", str(pin.specifier))]
    assert len(lock) > len(requirements())
    assert loose == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_pyproject(lock: list[tuple[Requirement, list[str]]], python: str) -> None:
    machine = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    pins = {
        str(canonicalize_name(pin.name)): str(pin.specifier).removeprefix("==")
        for pin, _ in lock
        if pin.marker is None or pin.marker.evaluate(machine)
    }
    unmet = [str(wanted) for wanted in requirements() if not _met(wanted, pins)]
    assert unmet == [], "Run make lock."


def test_the_pythons_tested_here_are_those_of_pyproject() -> None:
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    supported = Requirement(f"python{project['requires-python']}").specifier
    assert [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}" in supported] == list(PYTHONS)


def test_the_wheel_holds_the_three_packages_with_their_templates_and_nothing_else(
    committed: list[Path], tmp_path: Path
) -> None:
    packaged = set(zipfile.ZipFile(build_wheel(tmp_path)).namelist())
    described = {name for name in packaged if ".dist-info/" in name}
    sources = [file.relative_to(ROOT) for file in committed if file.suffix == ".py" or "templates" in file.parts]
    assert packaged - described == {"/".join(file.parts[1:]) for file in sources if file.parts[0] in PACKAGES.values()}
    assert {name.partition("/")[0] for name in packaged - described} == set(PACKAGES)
    assert any(name.endswith("templates/report.html.j2") for name in packaged)
    assert any(name.endswith("licenses/LICENSE") for name in described)


def _met(wanted: Requirement, pins: dict[str, str]) -> bool:
    version = pins.get(canonicalize_name(wanted.name))
    return version is not None and wanted.specifier.contains(version, prereleases=True)
