"""The one boundary around code that is not Octavo's: the user's builders and recipes, and the libraries they call.

Whatever such code raises, or exits with, becomes one sentence with the file and the line of the user's that it came
from. Ctrl-C passes, and so does what stops any code: no memory, no room on the disk.
"""

import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from octavo.project import extras
from octavo.project.errors import NO_ROOM, OctavoError, ParamsError

HOME = Path(__file__).parents[1]
INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
GENERATED = ("<frozen", "__autograph_generated_file")
FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')
LONGEST = 300
"""Characters of a foreign message that are repeated; TensorFlow's go on for pages."""


@contextmanager
def code(
    what: str, error: type[OctavoError] = ParamsError, own: Path | None = None, advice: str = ""
) -> Iterator[None]:
    """Run foreign code: `with foreign.code("Network 'mine:build'"): model = builder(shape, classes)`.

    Args:
        what: what the code is, as the sentence begins with it.
        error: raised for whatever the code raises; Octavo's own errors pass as they are.
        own: a file inside this package that is the user's nevertheless, as a recipe they added.
        advice: a sentence to end with: the next step.

    Raises:
        OctavoError: of the class `error`, for any exception and for `sys.exit`, whatever its code.
        ModuleNotFoundError: a library is missing that one of Octavo's extras installs; `errors.boundary` says which.
    """
    try:
        yield
    except (OctavoError, MemoryError):
        raise
    except (Exception, SystemExit) as fault:
        if isinstance(fault, OSError) and fault.errno in NO_ROOM:
            raise
        if isinstance(fault, ModuleNotFoundError) and extras.sentence(fault):
            raise
        raise error(" ".join(filter(None, [f"{what}: {told(fault, own)}", advice]))) from None


def told(fault: BaseException, own: Path | None = None) -> str:
    """One sentence of an exception: file and line of the last frame in the user's code, its kind, its message."""
    kind = "sys.exit" if isinstance(fault, SystemExit) else type(fault).__name__
    message = " ".join(str(fault.msg if isinstance(fault, SyntaxError) else fault).split()).rstrip(".")
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
    return ": ".join(filter(None, [_place(fault, own), kind, message])) + "."


def _place(fault: BaseException, own: Path | None) -> str:
    """Where in the user's code; TensorFlow runs it as generated code, and says in its message what that came from."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f"{_short(fault.filename)}, line {fault.lineno}"
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(fault.__traceback__)]
    for name, line in reversed([*frames, *FRAME.findall(str(fault))]):
        if _is_the_users(name, own):
            return f"{_short(name)}, line {line}"
    return ""


def _is_the_users(name: str, own: Path | None) -> bool:
    """A frame of neither the interpreter, nor installed packages, nor this package, nor generated code."""
    path = Path(name)
    if own is not None and path == own:
        return True
    installed = "site-packages" in path.parts or any(folder in path.parents for folder in (*INSTALLED, HOME))
    return not installed and not path.name.startswith(GENERATED)


def _short(name: str) -> str:
    """Relative to where the user works, if it lies below."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and Path.cwd() in path.parents else name
