"""Try a LiteRT file in a separate process before it is opened in this one.

The interpreter checks a file's structure, but not the numbers in it. So a damaged file can crash the process that opens
it. The separate process runs this file as a program, so it imports only the interpreter, once. It forks for each file.
"""

import os
import resource
import selectors
import signal
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from octavo.backends.litert.line_process import Ended, ask
from octavo.project.errors import ModelError

PATIENCE = 60
"""Seconds allowed to open a file and run it on one and two images, in both ways that Octavo runs it."""
LONGEST = 300
"""Bytes of the interpreter's message that are kept."""
PROGRAM = (sys.executable, "-P", __file__)
HOME = Path(__file__).parents[3]
"""Working directory of the separate process: the folder that Octavo's package lies in."""


def check(path: Path) -> None:
    """Open and run a LiteRT file in a separate process, where a crash does no harm.

    The result is cached in this process until the file changes.

    Raises:
        ModelError: the interpreter refuses the file, crashes on it, or does not finish in time.
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
    """What is wrong with the file; an empty string if nothing is."""
    try:
        answer = ask(PROGRAM, HOME, f"{PATIENCE} {path.encode(errors='surrogateescape').hex()}")
    except Ended:
        raise ModelError(f"The process that tries LiteRT files ended at {path}. Run the same command again.") from None
    return bytes.fromhex(answer).decode(errors="replace")


def main() -> None:
    """Read one line per file from stdin, and write one answer per line to stdout.

    A line has the seconds that the trial may take and the file's path in hexadecimal. The answer says what is wrong, in
    hexadecimal; it is empty if nothing is.
    """
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
        return f"the interpreter did not finish within {seconds} seconds"
    if os.WIFSIGNALED(status):
        return f"the interpreter crashes on it ({signal.Signals(os.WTERMSIG(status)).name})"
    return said


def _limit(seconds: int) -> None:
    """Limit the memory to the machine's, and the CPU time to `seconds`. Write no core dump."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = {
        resource.RLIMIT_AS: (memory, memory),
        resource.RLIMIT_CPU: (seconds, seconds + 1),  # at the second limit the kernel sends SIGKILL, not SIGXCPU
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, limit in limits.items():
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, limit)


def _tried(path: str) -> str:
    """The interpreter's error when it opens the file; an empty string if it opens.

    Errors of a run are ignored: the file may need other shapes.
    """
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
