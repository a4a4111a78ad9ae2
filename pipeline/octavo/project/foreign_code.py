"""The one boundary around code that is not Octavo's: the user's builders and recipes, and the libraries they call.

Any exception or exit of such code becomes one sentence with file and line in the user's code. Ctrl-C passes, and so do
errors that can stop any code: too little memory and a full disk.
"""

import importlib
import inspect
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from octavo.project import extras
from octavo.project.errors import NO_ROOM, OctavoError, ParamsError, did_you_mean

HOME = Path(__file__).parents[1]
INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
GENERATED = ("<frozen", "__autograph_generated_file")
FRAME = re.compile(r'File "([^"]+)", line (\d+), in ')
LONGEST = 300
"""Characters of a library's message that are shown. TensorFlow's messages can fill pages."""


@contextmanager
def code(
    what: str, error: type[OctavoError] = ParamsError, own: Path | None = None, advice: str = ""
) -> Iterator[None]:
    """Run foreign code: `with foreign_code.code("Network 'mine:build'"): model = builder(shape, classes)`.

    Args:
        what: start of the message: what runs, or what failed.
        error: class of the exception to raise. Octavo's own exceptions pass unchanged.
        own: a file inside this package that belongs to the user, such as a recipe that the user added.
        advice: last sentence of the message: the next step.

    Raises:
        OctavoError: of the class `error`, for any exception and for `sys.exit` with any exit code.
        ModuleNotFoundError: a library is missing that one of Octavo's extras installs. `errors.boundary` names it.
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


def function(name: str, what: str, example: tuple[Any, ...], takes: str) -> Callable[..., Any]:
    """Import a user's function.

    Args:
        name: `module:function`.
        what: start of the messages, such as "Network 'mine:build'".
        example: arguments that it must take.
        takes: what they are, for the message.

    Raises:
        ParamsError: the module or the function does not exist, its import fails, or it takes other arguments.
    """
    module, _, called = name.partition(":")
    imported = _module(module, what)
    found = getattr(imported, called, None)
    if not callable(found):
        near = did_you_mean(called, [each for each, value in vars(imported).items() if inspect.isfunction(value)])
        kind = f"there is no such name.{near}" if found is None else f"it is a {type(found).__name__}."
        raise ParamsError(f"{what} cannot be imported: in {module}, '{called}' must be a function, but {kind}")
    with suppress(ValueError):  # some callables in C do not have a signature
        try:
            inspect.signature(found).bind(*example)
        except TypeError as error:
            raise ParamsError(f"{what} takes other arguments ({error}); allowed is a function of {takes}.") from None
    return cast("Callable[..., Any]", found)


def _module(module: str, what: str) -> ModuleType:
    with code(f"{what} cannot be imported"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not f"{module}.".startswith(f"{error.name}."):
                raise
            raise ParamsError(
                f"{what} cannot be imported: there is no module '{error.name}' here. Give module:function."
            ) from None


def told(fault: BaseException, own: Path | None = None) -> str:
    """Describe an exception in one sentence: file and line of the last frame in the user's code, class, message."""
    kind = "sys.exit" if isinstance(fault, SystemExit) else type(fault).__name__
    message = " ".join(str(fault.msg if isinstance(fault, SyntaxError) else fault).split()).rstrip(".")
    message = message if len(message) <= LONGEST else f"{message[:LONGEST]}…"
    return ": ".join(filter(None, [_place(fault, own), kind, message])) + "."


def _place(fault: BaseException, own: Path | None) -> str:
    """File and line in the user's code. TensorFlow runs generated code, and its message names the original line."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f"{_short(fault.filename)}, line {fault.lineno}"
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(fault.__traceback__)]
    for name, line in reversed([*frames, *FRAME.findall(str(fault))]):
        if _is_the_users(name, own):
            return f"{_short(name)}, line {line}"
    return ""


def _is_the_users(name: str, own: Path | None) -> bool:
    """Whether a file is the user's: not of the interpreter, an installed package or this one, and not generated."""
    path = Path(name)
    if own is not None and path == own:
        return True
    installed = "site-packages" in path.parts or any(folder in path.parents for folder in (*INSTALLED, HOME))
    return not installed and not path.name.startswith(GENERATED)


def _short(name: str) -> str:
    """Relative to the working directory, if the file is inside it."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and Path.cwd() in path.parents else name
