"""`octavo doctor` says whether MLflow's store can be used, and repairs a database that a killed process left behind."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from octavo.project.errors import ModelError
from octavo_mlflow.registry.mutex import lock_check, mutex
from octavo_mlflow.tracking import connection, store_check


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_where_there_is_no_database_none_is_made(folder: Path) -> None:
    (found,) = store_check.check()
    assert found.ok
    assert "dvc repro makes" in found.said
    assert list(lock_check.check()) == []
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_an_incomplete_database_is_mended_and_then_answers(folder: Path) -> None:
    (folder / "mlflow.db").touch()
    (found,) = store_check.check()
    assert "MLflow cannot use it" in found.said
    assert found.todo == "Run: octavo doctor --mend"
    assert found.mend
    found.mend()
    (found,) = store_check.check()
    assert found.ok
    assert "answers" in found.said
    (free,) = lock_check.check()
    assert "nothing was left behind" in free.said
    with mutex.held(MlflowClient(connection.uri()), "door", "promote"):
        (held,) = lock_check.check()
    assert held.ok
    assert "door.lock is in use" in held.said


def test_a_file_that_is_no_database_is_told(folder: Path) -> None:
    (folder / "mlflow.db").write_bytes(b"garbage" * 999)
    (found,) = store_check.check()
    assert "cannot be read as MLflow's database (file is not a database)" in found.said
    assert "backup" in found.todo
    assert found.mend is None


def test_a_server_that_does_not_answer_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(connection, "PAUSES", (0.0,))
    (found,) = store_check.check()
    assert not found.ok
    assert "MLflow at http://127.0.0.1:9 cannot be used" in found.said


def test_odd_settings_of_the_night_are_told_in_a_sentence(folder: Path) -> None:
    (folder / "nightly.env").write_bytes(b"MLFLOW_X='a\0b'\nMLFLOW_TRACKING_URI='http://['\n")
    with pytest.raises(ModelError, match="MLFLOW_TRACKING_URI is not an address"), connection.connected(existing=True):
        pass


def test_projects_below_one_dvc_root_share_a_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".dvc").mkdir()
    (folder / "models/door").mkdir(parents=True)
    monkeypatch.chdir(folder / "models/door")
    (folder / "models/door/nightly.env").write_text("MLFLOW_X='mine'\n")
    assert connection.uri() == f"sqlite:///{folder}/mlflow.db"
    assert connection.night_settings() == {"MLFLOW_X": "mine"}
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")  # as in dvc exp run --temp
    assert connection.uri() == "sqlite:////elsewhere/mlflow.db"
