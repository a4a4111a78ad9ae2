"""Mutated files for every reader, in processes that may crash or hang.

Valid files of every kind that Octavo reads are mutated: bits, bytes and lengths changed, pieces cut out, repeated and
put elsewhere, numbers and names replaced by extreme ones. Each input must be read, or be refused by one of Octavo's own
errors: anything else is a fault, and kept in `$OCTAVO_FUZZ` where that names a folder.
"""

import inspect
import json
import os
import random
import select
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.abc import InspectLoader
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from benchmarks.attacks.part import Part, Row
from octavo.backends.litert import trial
from octavo.backends.onnxruntime import intermediate_outputs
from octavo.project.errors import OctavoError
from tests.mutants import READERS, Reader, mutated

BATCH = 200
"""Inputs for which one process is started."""
PATIENCE = 30.0
"""Seconds for one input."""
TRIAL = 5
"""Of which a run of a model gets so many."""
TRACED = 20
"""Of so many inputs one has its lines counted, which takes longer than the reading."""

Lines = set[tuple[str, int]]


@dataclass
class Tally:
    """What came of inputs: `read`, `refused`, `foreign`, `crash` or `hang`, and the lines that ran."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lines: Lines = field(default_factory=set)

    def add(self, other: "Tally") -> None:
        self.outcomes += other.outcomes
        self.faults += other.faults
        self.lines |= other.lines


def run(inputs: int, seed: int) -> Part:
    """Let all readers together read that many mutated files."""
    share = -(-inputs // len(READERS))
    tasks = [(name, first, min(BATCH, share - first)) for first in range(0, share, BATCH) for name in READERS]
    found = {name: Tally() for name in READERS}
    assert all(reader.seeds for reader in READERS.values())  # made once, before the processes part
    with ProcessPoolExecutor(max(1, (os.cpu_count() or 2) - 1), mp_context=get_context("fork")) as pool:
        for (name, _, _), tally in zip(tasks, pool.map(partial(batch, seed), tasks), strict=True):
            found[name].add(tally)
    rows = [row(name, tally) for name, tally in found.items()]
    faults = [f"{name}: {fault} ({n})" for name, tally in found.items() for fault, n in tally.faults.most_common()]
    return Part("Mutated files", rows, faults, {"seed": seed, "inputs": sum(each["inputs"] for each in rows)})


def row(name: str, tally: Tally) -> Row:
    own = {line for module in READERS[name].modules for line in executable(module)}
    return {
        "reader": name,
        "inputs": tally.outcomes.total(),
        **{kind: tally.outcomes[kind] for kind in ("read", "refused", "foreign", "crash", "hang")},
        "lines run %": round(100 * len(own & tally.lines) / len(own), 1),
    }


def batch(seed: int, task: tuple[str, int, int]) -> Tally:
    """The inputs of one task, in as many processes as it takes: one that crashed is followed by another."""
    name, first, count = task
    whole, number = Tally(), first
    while number < first + count:
        part, number = _in_a_process(name, seed, number, first + count)
        whole.add(part)
    return whole


def _in_a_process(name: str, seed: int, first: int, end: int) -> tuple[Tally, int]:
    """What came of the inputs from `first` on, and the number of the next one."""
    source, target = os.pipe()
    child = os.fork()
    if not child:
        os.close(source)
        _work(name, seed, range(first, end), target)
        os._exit(0)
    os.close(target)
    tally, hangs = Tally(), False
    with os.fdopen(source, "rb", buffering=0) as told:
        rest = b""
        while not (hangs := not select.select([told], [], [], PATIENCE)[0]) and (chunk := told.read(2**16)):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _count(tally, *json.loads(line))
        if hangs:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    number = first + tally.outcomes.total()
    if os.WIFSIGNALED(status):
        kind = "hang" if hangs else "crash"
        tally.outcomes[kind] += 1
        tally.faults[f"{kind} at input {number}, signal {signal.Signals(os.WTERMSIG(status)).name}"] += 1
        number += 1
    return tally, number


def _count(tally: Tally, kind: str, said: Any) -> None:
    if kind == "lines":
        tally.lines |= {(file, line) for file, line in said}
        return
    tally.outcomes[kind] += 1
    if kind == "foreign":
        tally.faults[said] += 1


def _work(name: str, seed: int, numbers: range, target: int) -> None:
    """Read inputs and tell of each what came of it; the lines that ran at the end."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    trial.PATIENCE = intermediate_outputs.PATIENCE = TRIAL
    reader, lines = READERS[name], Lines()
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            content = mutated(reader, random.Random(f"{seed} {name} {number}"))  # noqa: S311 # to be repeated
            with _traced(reader, lines) if number % TRACED == 0 else nullcontext():
                outcome = tried(reader, content, Path(folder))
            if outcome[0] == "foreign":
                keep(content, f"{name}-{seed}-{number}{reader.suffix}")
            os.write(target, json.dumps(outcome).encode() + b"\n")
    for file in {file for file, _ in lines}:
        os.write(target, json.dumps(("lines", [line for line in lines if line[0] == file])).encode() + b"\n")


def tried(reader: Reader, content: bytes, folder: Path) -> tuple[str, str]:
    """What came of one input, and of a foreign exception its kind, place and message."""
    path = folder / f"input{reader.suffix}"
    path.write_bytes(content)
    try:
        reader.read(path)
    except Exception as error:  # noqa: BLE001 # foreign ones are what is looked for
        if isinstance(error, (OctavoError, *reader.own)):
            return "refused", ""
        frame = error.__traceback__
        while frame and frame.tb_next and "site-packages" not in frame.tb_next.tb_frame.f_code.co_filename:
            frame = frame.tb_next
        where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
        return "foreign", f"{type(error).__name__} at {where}"
    return "read", ""


class _traced:  # noqa: N801 # used as a function
    """Adds the lines of the reader's modules that run to `lines`."""

    def __init__(self, reader: Reader, lines: Lines) -> None:
        self._files = {str(module.__file__) for module in reader.modules}
        self._lines = lines

    def __enter__(self) -> None:
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line


def executable(module: ModuleType) -> Iterator[tuple[str, int]]:
    """The lines in a module's functions: others run when it is imported."""
    loader = getattr(module, "__loader__", None)
    whole = loader.get_code(module.__name__) if isinstance(loader, InspectLoader) else None
    todo = [whole] if whole else []
    while todo:
        code = todo.pop()
        todo += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_flags & inspect.CO_NEWLOCALS:  # of a function
            lines = {line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno}
            yield from ((str(module.__file__), line) for line in lines)


def keep(content: bytes, name: str) -> None:
    if folder := os.environ.get("OCTAVO_FUZZ"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, name.replace("/", "-")).write_bytes(content)
