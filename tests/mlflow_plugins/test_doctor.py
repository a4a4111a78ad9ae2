"""`octavo doctor` finds what killed processes leave behind, says what mends it, and does so if asked."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_plugins.doctor import doctor
from pipeline import dvc_lock
from pipeline.errors import OctavoError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    dvc_lock.FOLDER.mkdir(parents=True)
    return tmp_path


def test_where_nothing_is_broken_nothing_is_made(folder: Path) -> None:
    done = CliRunner().invoke(doctor)
    assert done.exit_code == 0
    assert "Nothing is broken" in done.output
    assert not (folder / "mlflow.db").exists()


@pytest.mark.slow
def test_both_are_found_and_mended(folder: Path) -> None:
    dvc_lock.RECORD.touch()
    (folder / "mlflow.db").touch()
    done = CliRunner().invoke(doctor)
    assert isinstance(done.exception, OctavoError)
    assert "octavo doctor --mend" in str(done.exception)
    assert "every dvc repro stops at it" in done.output
    assert "MLflow cannot use it" in done.output
    assert dvc_lock.RECORD.exists()

    done = CliRunner().invoke(doctor, ["--mend"])
    assert done.exit_code == 0
    assert done.output.endswith("Mended.\n")
    assert not dvc_lock.RECORD.exists()
    assert CliRunner().invoke(doctor).exit_code == 0
