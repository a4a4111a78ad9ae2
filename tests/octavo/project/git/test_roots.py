"""Where a project's repository begins, and which modules of it a stage can import."""

import subprocess
import sys
from pathlib import Path

import pytest

from octavo.project.git import roots


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project below DVC's root."""
    folder = tmp_path / "models/door"
    folder.mkdir(parents=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_projects_share_dvcs_root(door: Path, tmp_path: Path) -> None:
    assert roots.shared() == tmp_path
    assert roots.project() == door


def test_a_temporary_experiment_has_the_original_roots(
    door: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/x/models/door"
    copy.mkdir(parents=True)
    (tmp_path / ".dvc/tmp/exps/x/.dvc").mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert roots.shared() == tmp_path
    assert roots.project() == door


def test_without_dvc_the_working_directory_is_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert roots.shared() == roots.project() == tmp_path


def test_a_stage_imports_modules_of_the_whole_repository(door: Path, tmp_path: Path) -> None:
    (tmp_path / "in_root.py").touch()
    (tmp_path / "src/in_src.py").touch()
    (tmp_path / "src/yaml.py").write_text("raise SystemExit('it shadows a library')")
    (door / "in_project.py").touch()
    (door / "params.yaml").write_text("")
    program = (
        "import sys; sys.orig_argv[1:1] = ['-m', 'octavo_stages.code']; import octavo_stages, in_root, in_src, yaml"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
