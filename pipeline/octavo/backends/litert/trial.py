"""LiteRT files tried before they are opened, in a process that may crash: the interpreter checks a file's structure and
trusts its numbers, so that one that is damaged can end whoever opens it.

That process runs this file as a program, so that it imports little: the interpreter, once. It forks for each file.
"""

import os
import resource
import selectors
import signal
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.project.errors import ModelError

PATIENCE = 60
"""Seconds for a file to be opened and run on two images, in each of the ways that Octavo runs it."""
LONGEST = 300
"""Characters of what the interpreter says."""
PROGRAM = (sys.executable, "-P", __file__)
TURN = Lock()


def check(path: Path) -> None:
    """Open and run a LiteRT file where nothing is lost if that crashes.

    What was tried is remembered as long as this process lives, until the file changes.

    Raises:
        ModelError: the interpreter refuses the file, crashes on it, or does not come to an end.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}. Run dvc repro.") from None
    fault = _fault(str(path.absolute()), state.st_mtime_ns, state.st_size, state.st_ino)
    if fault:
        raise ModelError(f"LiteRT cannot load {path}: {fault}. It is damaged, or not a LiteRT file: make it again.")


@lru_cache(maxsize=256)
def _fault(path: str, *_state: int) -> str:
    """What is wrong with the file; nothing where nothing is."""
    with TURN:
        trial = _trial(os.getpid())
        assert trial.stdin
        assert trial.stdout
        try:
            trial.stdin.write(f"{PATIENCE} {path.encode(errors='surrogateescape').hex()}\n".encode())
            trial.stdin.flush()
            answer = trial.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            _trial.cache_clear()
            raise ModelError(f"The process that tries LiteRT files ended at {path}. Run the same command again.")
    return bytes.fromhex(answer.decode()).decode(errors="replace")


@lru_cache(maxsize=1)
def _trial(_pid: int) -> "subprocess.Popen[bytes]":
    """The process that tries files; it ends with this one. A fork of this process has one of its own."""
    home = Path(__file__).parents[3]  # not where the caller works: what lies there could be imported
    return subprocess.Popen(PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=home)


def main() -> None:
    """Read a line a file, the seconds it may take and its path in hexadecimal; answer what is wrong, likewise."""
    for line in sys.stdin:
        seconds, path = line.split()
        told = _forked(os.fsdecode(bytes.fromhex(path)), int(seconds))
        print(told.encode().hex(), flush=True)


def _forked(path: str, seconds: int) -> str:
    source, target = os.pipe()
    child = os.fork()
    if not child:
        os.close(source)
        _limit(seconds)
        os.write(target, _tried(path).encode()[:LONGEST])
        os._exit(0)
    os.close(target)
    with selectors.DefaultSelector() as ready, os.fdopen(source, "rb") as told:
        ready.register(told, selectors.EVENT_READ)
        answered = ready.select(seconds)
        if not answered:
            os.kill(child, signal.SIGKILL)
        said = told.read().decode(errors="replace") if answered else ""
    _, status = os.waitpid(child, 0)
    if not answered or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return f"the interpreter came to no end within {seconds} seconds"
    if os.WIFSIGNALED(status):
        return f"the interpreter crashes on it ({signal.Signals(os.WTERMSIG(status)).name})"
    return said


def _limit(seconds: int) -> None:
    """No more memory than there is, no more time than was given, and no file to remember a crash by."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))


def _tried(path: str) -> str:
    """What the interpreter says against the file; nothing where it opens. What it cannot run may be of other shapes."""
    try:
        whole = Interpreter(model_path=path, num_threads=1)
        bare = Interpreter(
            model_path=path,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        whole.get_input_details(), whole.get_output_details()
    except UnicodeDecodeError:
        return "a name in it is not UTF-8"
    except (ValueError, RuntimeError) as error:
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    for interpreter in (whole, bare):
        for batch in (1, 2):
            with suppress(ValueError, RuntimeError, TypeError, LookupError):
                _run(interpreter, batch)
    return ""


def _run(interpreter: Interpreter, batch: int) -> None:
    for source in interpreter.get_input_details():
        shape = source["shape"]
        if batch > 1 and len(shape):
            interpreter.resize_tensor_input(source["index"], [batch, *map(int, shape[1:])])
    interpreter.allocate_tensors()
    for source in interpreter.get_input_details():
        interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
    interpreter.invoke()
    for target in interpreter.get_output_details():
        interpreter.get_tensor(target["index"])


if __name__ == "__main__":
    main()
