"""LiteRT files that end or hang the process of whoever opens them, and such as contradict themselves."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octavo.backends.litert import line_process, stored_integers, trial
from octavo.backends.registry import open_model
from octavo.evaluation import integer_coverage
from octavo.project.errors import ModelError
from tests.litert_files import Code, File, Type, dense

READERS: dict[str, Callable[[Path], Any]] = {
    "open": open_model,
    "interface": integer_coverage.interface,
    "output step": integer_coverage.output_step,
    "prove": integer_coverage.prove,
    "clipping": stored_integers.read,
}


def calls_itself() -> File:
    """Its graph branches into its graph: the interpreter's stack is soon used up."""
    file = dense()
    file.main.constant("yes", np.array([True]))
    bodies: dict[str, Any] = {"thenSubgraphIndex": 0, "elseSubgraphIndex": 0}
    file.main.operator(Code.IF, ["yes", "image"], ["inside"], "IfOptions", **bodies)
    return file


def turns_for_ever() -> File:
    """A loop whose condition is a constant."""
    file = File()
    main, condition, body = file.main, file.graph(), file.graph()
    for graph in (main, condition, body):
        graph.value("x", [1, 4])
    condition.constant("yes", np.array([True]))
    body.value("y", [1, 4])
    body.operator(Code.ADD, ["x", "x"], ["y"], "AddOptions")
    main.value("last", [1, 4])
    graphs: dict[str, Any] = {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}
    main.operator(Code.WHILE, ["x"], ["last"], "WhileOptions", **graphs)
    for graph, end in ((main, "last"), (condition, "yes"), (body, "y")):
        graph.ends(["x"], [end])
    return file


def changed(change: Callable[[File], Any]) -> File:
    file = dense()
    change(file)
    return file


def test_the_interpreter_does_crash_on_it(tmp_path: Path) -> None:
    """Else there would be nothing to guard against."""
    path = calls_itself().write(tmp_path / "m.tflite")
    program = f"from ai_edge_litert.interpreter import Interpreter as I; I(model_path={str(path)!r}).allocate_tensors()"
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode < 0


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_file_that_crashes_the_interpreter_is_one_sentence(read: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.tflite: the interpreter crashes on it \(SIG"):
        read(calls_itself().write(tmp_path / "m.tflite"))


def test_a_file_that_comes_to_no_end_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE", 1)
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"m\.tflite: the interpreter did not finish within 1 seconds"):
        open_model(turns_for_ever().write(tmp_path / "m.tflite"))
    assert time.monotonic() - began < 20


CONTRADICTIONS: dict[str, Callable[[File], Any]] = {
    "no tensor of that number": lambda file: setattr(file.main.made, "outputs", [99]),
    "no buffer of that number": lambda file: setattr(file.main.made.tensors[0], "buffer", 99),
    "no operator of that kind": lambda file: setattr(file.main.made.operators[0], "opcodeIndex", 99),
    "no such type": lambda file: setattr(file.main.made.tensors[0], "type", 99),
    "fewer weights than its shape": lambda file: setattr(file.model.buffers[1], "data", np.zeros(4, np.uint8)),
    "a negative shape": lambda file: setattr(file.main.made.tensors[1], "shape", [-3, 16]),
    "a name that is not UTF-8": lambda file: setattr(file.main.made.tensors[0], "name", b"\xff"),
    "no graph": lambda file: file.graphs.clear(),
}


@pytest.mark.parametrize("change", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_file_that_contradicts_itself_is_one_sentence(change: Callable[[File], Any], tmp_path: Path) -> None:
    path = changed(change).write(tmp_path / "m.tflite")
    with pytest.raises(ModelError, match=r"m\.tflite") as raised:
        [read(path) for read in READERS.values()]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"TFL3", bytes(range(100)), b"\x08\0\0\0TFL3" + b"\xff" * 64])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_what_is_no_litert_file_is_one_sentence(read: Callable[[Path], Any], content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(content)
    with pytest.raises(ModelError, match=r"LiteRT cannot load .*m\.tflite"):
        read(tmp_path / "m.tflite")


def test_a_file_is_tried_again_where_it_changed_and_only_then(tmp_path: Path) -> None:
    path = dense().write(tmp_path / "m.tflite")
    trial.check(path)
    before = trial._fault.cache_info().misses
    trial.check(path)
    assert trial._fault.cache_info().misses == before
    calls_itself().write(path)
    with pytest.raises(ModelError, match="crashes"):
        trial.check(path)


def test_a_trial_that_was_killed_is_told_and_starts_anew(tmp_path: Path) -> None:
    trial.check(dense().write(tmp_path / "first.tflite"))
    process = line_process.started(trial.PROGRAM, trial.HOME, os.getpid())
    process.kill()
    process.wait()
    other = dense(np.float32, np.float32).write(tmp_path / "other.tflite")
    with pytest.raises(ModelError, match="Run the same command again"):
        trial.check(other)
    trial.check(other)


def test_names_that_are_not_utf_8_are_tried(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.tflite")
    trial.check(dense().write(path))
    assert integer_coverage.interface(path).input.dtype == "int8"
    assert Type.INT8 == 9
