"""Every reader meets mutated files, in processes that may crash; `python -m benchmarks.attacks` does so at length."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attacks import fuzzing
from tests import mutants
from tests.conftest import EXAMPLES
from tests.mutants import READERS, Reader

INPUTS = EXAMPLES // 2


@pytest.mark.parametrize("name", READERS)
def test_valid_files_are_read_and_mutated_ones_too_or_refused(name: str, tmp_path: Path) -> None:
    for seed in READERS[name].seeds[:8]:
        path = tmp_path / f"valid{READERS[name].suffix}"
        path.write_bytes(seed)
        if name != "params.yaml" or seed is READERS[name].seeds[0]:
            READERS[name].read(path)

    found = fuzzing.batch(0, (name, 0, INPUTS))
    assert found.outcomes.total() == INPUTS
    assert not found.faults
    assert found.outcomes["read"] + found.outcomes["refused"] == INPUTS


def _crash(path: Path) -> None:
    if sum(path.read_bytes()) % 2:
        os.kill(os.getpid(), signal.SIGKILL)  # an abort would be told by pytest, at length


def _hang(path: Path) -> None:
    if sum(path.read_bytes()) % 2:
        time.sleep(60)


def _raise(path: Path) -> Any:
    return json.loads(path.read_bytes())


@pytest.mark.parametrize(("read", "kind"), [(_crash, "crash"), (_hang, "hang"), (_raise, "foreign")])
def test_what_a_reader_may_not_do_is_counted(
    read: Callable[[Path], Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mutants.READERS, "own", Reader(lambda: [b"{}"], read, ".json", ()))
    monkeypatch.setattr(fuzzing, "PATIENCE", 0.5)

    found = fuzzing.batch(0, ("own", 0, 6))
    assert found.outcomes.total() == 6
    assert found.outcomes[kind] == found.faults.total() > 0


def test_the_same_seed_gives_the_same_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = (fuzzing.batch(1, ("layers.json", 0, 50)) for _ in range(2))
    assert (first.outcomes, first.faults) == (again.outcomes, again.faults)
    assert first.lines
