"""Each example does what its README says: the commands are taken from there, and run where only Octavo is installed."""

import re
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Install
from tests.end_to_end.installed import Environment, copy_files
from tests.end_to_end.project import ROOT

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALLATION = re.compile(r"pip install '?octavo(?:\[(?P<extras>[\w,]+)\])?'?")
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/README.md"))
IN_CLEAN_ENVIRONMENT = [pytest.mark.slow, pytest.mark.thorough, pytest.mark.end_to_end, pytest.mark.timeout(1800)]


def commands(example: str) -> list[str]:
    """What the README asks its readers to type."""
    text = (ROOT / "examples" / example / "README.md").read_text(encoding="utf-8")
    lines = [line for block in CONSOLE.findall(text) for line in block.splitlines()]
    assert lines
    assert all(line.startswith("$ ") for line in lines), "what is printed is told in words"
    return [line.removeprefix("$ ") for line in lines]


def extras(example: str) -> str:
    """Those that the first command installs."""
    found = INSTALLATION.fullmatch(commands(example)[0])
    assert found
    return found["extras"] or ""


def follow(example: str, environment: Environment, folder: Path) -> tuple[Path, str]:
    """Do in `folder` what the README says, in one shell. Returns the copy of the example, and what was printed."""
    project = copy_files(f"examples/{example}", folder)
    return project, environment.run(project, "bash", "-euc", "\n".join(commands(example)[1:]))


@pytest.fixture(autouse=True)
def own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name for commits, and no MLflow of an earlier test."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_begins_with_what_to_install_and_what_to_make(example: str) -> None:
    installation, making, *_ = commands(example)
    assert INSTALLATION.fullmatch(installation)
    assert making == "python make.py"
    assert f"examples/{example}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "clean", [pytest.param(False, marks=pytest.mark.slow), pytest.param(True, marks=IN_CLEAN_ENVIRONMENT)]
)
def test_an_onnx_file_becomes_files_that_run_without_octavo(
    clean: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = request.getfixturevalue("install")(extras("onnx_network")) if clean else own_environment()
    project, said = follow("onnx_network", environment, tmp_path)
    assert re.search(f"Ship   net-octavo/({'onnx' if clean else 'onnx|litert'})_", said)
    assert re.findall(r"^\d (\w+) [\d.]+$", said, re.MULTILINE) == ["circle", "cross", "square", "triangle", "circle"]
    assert_made_alike(environment, project, "net.onnx", "new.npy", "photos/circle/0000.png")


class TestInCleanEnvironment:
    pytestmark = IN_CLEAN_ENVIRONMENT

    def test_a_keras_file_becomes_a_champion(self, install: Install, tmp_path: Path) -> None:
        environment = install(extras("keras_network"))
        project, said = follow("keras_network", environment, tmp_path)
        assert re.search(r"^champion: keras_network version \d+ \(\w+\)$", said, re.MULTILINE)
        assert versions(project) == {"keras_network": 8}
        assert "didn't change, skipping" in environment.run(project, "dvc", "repro")
        assert environment.run(project, "git", "tag") != ""
        assert_made_alike(environment, project, "images.npz")  # net.keras has its date in it

    def test_a_repository_with_a_shape_of_its_own_gets_two_models(self, install: Install, tmp_path: Path) -> None:
        environment = install(extras("existing_repository"))
        project, said = follow("existing_repository", environment, tmp_path)
        champions = re.findall(r"^champion: (\w+) version \d+ \((\w+?)_\w+\)$", said, re.MULTILINE)
        assert champions == [("door", "litert"), ("window", "onnx")]
        assert versions(project) == {"door": 5, "window": 5}
        assert not list(project.glob("models/**/mlflow.db"))
        team = copy_files("examples/existing_repository", tmp_path / "before")
        for before in team.rglob("*"):
            if before.is_file() and before.name != ".gitignore":
                assert (project / before.relative_to(team)).read_bytes() == before.read_bytes()
        assert_made_alike(environment, project, "recordings/door.npz", "recordings/window.npz")


def own_environment() -> Environment:
    """That of these tests."""
    return Environment(Path(sys.executable).parents[1])


def assert_made_alike(environment: Environment, project: Path, *names: str) -> None:
    """Make the example's files again, and compare those of that names."""
    before = [(project / name).read_bytes() for name in names]
    environment.run(project, "python", "make.py")
    assert [(project / name).read_bytes() for name in names] == before


def versions(project: Path) -> dict[str, int]:
    """How many versions each model of the project's registry has."""
    with sqlite3.connect(project / "mlflow.db") as database:
        return dict(database.execute("SELECT name, COUNT(*) FROM model_versions GROUP BY name"))
