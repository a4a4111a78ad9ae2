"""A record of DVC's that a killed process left unreadable is removed, and only while DVC is not at work."""

import fcntl
from pathlib import Path

import pytest

from octavo.project.files import dvc_rwlock


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dvc_rwlock.path().parent.mkdir(parents=True)
    return dvc_rwlock.path()


@pytest.mark.parametrize("content", ["", "{", '{"write": {"a": {"pid": 1'])
def test_what_cannot_be_read_is_removed(content: str, record: Path) -> None:
    record.write_text(content)
    assert dvc_rwlock.is_broken()
    assert dvc_rwlock.mend()
    assert not record.exists()
    assert not dvc_rwlock.mend()


def test_what_can_be_read_stays(record: Path) -> None:
    record.write_text('{"read": {}}')
    assert not dvc_rwlock.mend()
    assert record.exists()


def test_while_dvc_is_at_work_it_stays(record: Path) -> None:
    record.write_text("")
    with dvc_rwlock.path(dvc_rwlock.GUARD).open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        assert not dvc_rwlock.mend()
        assert record.exists()
    assert dvc_rwlock.mend()
