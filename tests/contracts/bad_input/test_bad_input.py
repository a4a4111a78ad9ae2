"""At least a hundred kinds of what people get wrong: one sentence, exit code 1, and the last good outputs stay."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from octavo.project import errors
from tests.contracts.bad_input import in_builders, in_data, in_models, in_params, kind, on_command_lines
from tests.contracts.bad_input.kind import Kind

KINDS = [
    *in_params.KINDS,
    *in_data.KINDS,
    *in_models.KINDS,
    *on_command_lines.KINDS,
    *in_builders.KINDS,
]
LONGEST = 700
OF_PYTHON = ("Traceback", "pydantic", "Extra inputs", "^[", " dict", " tuple", "<class", "Errno")
"""Words that say nothing to a user."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's folder with the outputs of an earlier run, where modules of the user's own are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("data").mkdir()
    kind.write_good()


@pytest.mark.parametrize("bad", KINDS, ids=str)
def test_it_is_told_in_one_sentence(bad: Kind, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, errors.boundary():
        bad.meet()
    said = capfd.readouterr().err.rstrip("\n").splitlines()[-1]
    assert bad.told in said
    assert ended.value.code == 1
    assert len(said) < LONGEST
    assert not [word for word in OF_PYTHON if word in said]
    assert said.endswith((".", "?", ")", "…")) or bad.subject == "command lines"
    assert kind.changed() == {}


def test_there_are_a_hundred_kinds_and_some_of_every_subject() -> None:
    assert len({str(each) for each in KINDS}) == len(KINDS)
    counts = Counter(each.subject for each in KINDS)
    assert counts.keys() == {"params", "data", "models", "builders", "command lines"}
    assert min(counts.values()) >= 20
    assert counts.total() >= 250, counts
