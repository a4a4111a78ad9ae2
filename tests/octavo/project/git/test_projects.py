"""Outside a project, a command names the projects of the repository."""

import os
import subprocess
from pathlib import Path

import pytest

from octavo.project.errors import ParamsError
from octavo.project.git import projects


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for name, stages in (("models/door", "octavo_stages.code"), ("models/fenêtre", "octavo_stages.code"), ("x", "ls")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "params.yaml").touch()
        (tmp_path / name / "dvc.yaml").write_text(f"stages: {{a: {{cmd: python -m {stages}}}}}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told() -> str:
    with pytest.raises(ParamsError) as failed:
        projects.require()
    return str(failed.value)


def test_the_projects_of_the_repository_are_named_and_others_are_not(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f"No params.yaml in {repository}, so it is no project." in told()
    assert "projects: models/door, models/fenêtre." in told()
    monkeypatch.chdir(repository / "models")
    assert "projects: door, fenêtre." in told()
    monkeypatch.chdir(repository / "models/door")
    projects.require()


def test_a_folder_whose_name_is_no_text_is_named_too(repository: Path) -> None:
    odd = Path(os.fsdecode(b"\xff"))
    (repository / "models").rename(odd)
    assert "projects: \\xff/door" in told().replace("\\udcff", "\\xff")


def test_outside_of_a_repository_it_says_what_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "octavo init" in told()
    assert "octavo quantize MODEL" in told()
