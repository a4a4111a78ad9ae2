"""`octavo doctor` finds what killed processes leave behind, says what mends it, and does so if asked."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from octavo.project.errors import ModelError, OctavoError
from octavo.project.files import dvc_rwlock
from octavo_mlflow.tracking import connection
from octavo_mlflow.tracking.commands import doctor


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    dvc_rwlock.path().parent.mkdir(parents=True)
    return tmp_path


def test_where_nothing_is_broken_nothing_is_made(folder: Path) -> None:
    done = CliRunner().invoke(doctor)
    assert done.exit_code == 0
    assert "Nothing is broken" in done.output
    assert not (folder / "mlflow.db").exists()


@pytest.mark.slow
def test_both_are_found_and_mended(folder: Path) -> None:
    dvc_rwlock.path().touch()
    (folder / "mlflow.db").touch()
    done = CliRunner().invoke(doctor)
    assert isinstance(done.exception, OctavoError)
    assert "octavo doctor --mend" in str(done.exception)
    assert "every dvc repro stops at it" in done.output
    assert "MLflow cannot use it" in done.output
    assert dvc_rwlock.path().exists()

    done = CliRunner().invoke(doctor, ["--mend"])
    assert done.exit_code == 0
    assert done.output.endswith("Repaired.\n")
    assert not dvc_rwlock.path().exists()
    assert CliRunner().invoke(doctor).exit_code == 0


def test_a_database_that_is_none_is_told_in_a_sentence(folder: Path) -> None:
    (folder / "mlflow.db").write_bytes(b"garbage" * 999)
    failed = CliRunner().invoke(doctor, ["--mend"]).exception
    assert isinstance(failed, OctavoError)
    assert "cannot be read as MLflow's database (file is not a database)" in str(failed)


def test_odd_settings_of_the_night_are_told_in_a_sentence(folder: Path) -> None:
    (folder / "nightly.env").write_bytes(b"MLFLOW_X='a\0b'\nMLFLOW_TRACKING_URI='http://['\n")
    with pytest.raises(ModelError, match="MLFLOW_TRACKING_URI is not an address"), connection.connected(existing=True):
        pass
