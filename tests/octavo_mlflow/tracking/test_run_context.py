import subprocess
import sys
from pathlib import Path

import pytest

from octavo.project.git import revision as project_git
from octavo_mlflow.tracking.run_context import DvcRunContext

ROOT = Path(__file__).parents[3]


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_tags_lead_back_to_the_stage_and_the_commit_of_dvcs_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert DvcRunContext().tags() == {"git.commit": commit}

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("/")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "register")
    assert DvcRunContext().tags() == {"dvc.stage": "register", "dvc.root": str(tmp_path), "git.commit": commit}


def test_the_tag_of_the_lock_is_what_the_scorecards_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text("schema: '2.0'\nstages: {train: {cmd: x}, register: {cmd: y}}\n")
    expected = project_git.lock_digest()
    assert expected
    Path("notebooks").mkdir()
    for folder, root in (tmp_path, None), (tmp_path / "notebooks", None), (Path("/"), tmp_path):
        monkeypatch.chdir(folder)
        monkeypatch.setenv("DVC_ROOT", str(root or ""))
        assert DvcRunContext().tags()["dvc.lock"] == expected


def test_it_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not DvcRunContext().in_context()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "gone"))
    assert set(DvcRunContext().tags()) == {"dvc.root"}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert set(DvcRunContext().tags()) == {"dvc.root"}
    for content in b"<<<<<<< HEAD\nstages:\n", b"[]", b"", b"schema: '2.0'", b"\xff\xfe":
        Path("dvc.lock").write_bytes(content)
        assert set(DvcRunContext().tags()) == {"dvc.root"}


def test_telemetry_is_off_unless_asked_for() -> None:
    script = "import octavo_mlflow, os; print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    for given, found in ({}, "true"), ({"MLFLOW_DISABLE_TELEMETRY": "false"}, "false"):
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=given, cwd=ROOT)
        assert done.stdout.strip() == found
