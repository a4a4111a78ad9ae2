"""Repositories of users, and the command line in this process."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from octavo.project.cli import octavo

Run = Callable[..., Result]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty git repository whose folder's name has a space; it is the working directory."""
    folder = tmp_path / "my cameras"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def with_dvc(repository: Path) -> Path:
    """The same with DVC set up, as far as `init` looks at it; running DVC takes a second."""
    (repository / ".dvc").mkdir()
    return repository


@pytest.fixture
def run() -> Run:
    """Run the command line `octavo …` with that input."""

    def invoke(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(octavo, arguments, input=typed)

    return invoke


def images(folder: Path, *sizes: tuple[int, int], each: int = 1) -> Path:
    """Images of each size in turn, in two class folders, no two alike."""
    for number, size in enumerate(sizes * each):
        (folder / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.new("L", size, number).save(folder / f"class{number % 2}" / f"{number}.png")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, except git's."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
