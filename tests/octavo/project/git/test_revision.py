"""Which state a project is in: its commit and its lock."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from octavo.project.git import revision as project_git


def git(*arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


def test_git_is_none_outside_a_repository_and_before_the_first_commit() -> None:
    assert project_git.git_commit() is None
    git("init", "-q")
    assert project_git.git_commit() is None


def test_git_is_none_where_there_is_no_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert project_git.git_commit() is None


def test_git_tells_changed_sources_from_a_new_lock() -> None:
    git("init", "-q")
    Path("params.yaml").write_text("first: 1\n")
    Path("dvc.lock").write_text("stages: {}\n")
    git("add", "params.yaml", "dvc.lock")
    git("commit", "-qm", "one")
    clean = project_git.git_commit()
    assert clean is not None
    assert len(clean) == 40
    Path("dvc.lock").write_text("stages: {a: {}}\n")
    assert project_git.git_commit() == clean
    Path("params.yaml").write_text("changed: 1\n")
    assert project_git.git_commit() == f"{clean}-dirty"


def test_the_lock_digest_follows_the_stages_before_the_report() -> None:
    assert project_git.lock_digest() is None
    stages: dict[str, Any] = {"prepare": {"md5": "a"}, "report": {"md5": "b"}, "register": {"md5": "c"}}

    def locked() -> str | None:
        Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
        return project_git.lock_digest()

    before = locked()
    stages["report"]["md5"] = stages["register"]["md5"] = "other"
    assert locked() == before
    stages["prepare"]["md5"] = "other"
    assert locked() != before


def test_the_lock_is_found_from_anywhere_in_the_project() -> None:
    assert project_git.nearest_lock(Path.cwd()) is None
    Path("dvc.lock").write_text("stages: {a: {cmd: x}}\n")
    Path("notebooks/deep").mkdir(parents=True)
    assert project_git.nearest_lock(Path.cwd() / "notebooks/deep") == Path.cwd() / "dvc.lock"
