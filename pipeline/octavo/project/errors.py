"""Octavo's exceptions, and the one boundary that prints them.

A message says what failed, the actual value, what is allowed, and the next step.
"""

import difflib
import errno
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from octavo.project import extras

NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
"""Errors of a write that are not the user's mistake."""

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, except tabs and line feeds."""


class OctavoError(Exception):
    """The user's mistake: one clear sentence, no traceback, exit code 1. Base of all exceptions of Octavo."""

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        """Make the message safe to print: bytes that are not UTF-8 and control characters become escape sequences.

        File names in a message can contain both.
        """
        plain = str(message).encode("utf-8", "backslashreplace").decode()
        super().__init__(STEERING.sub(lambda found: ascii(found[0])[1:-1], plain))

    def clause(self, advice: str) -> str:
        """The message as a part of another sentence: without the advice that ends it, and without its full stop."""
        return str(self).removesuffix(advice).strip().rstrip(".")


class DataError(OctavoError):
    """The data is damaged, missing or unsuitable."""


class ParamsError(OctavoError):
    """`params.yaml` or an argument is wrong, unknown or contradicts itself."""


class ModelError(OctavoError):
    """A model file is missing, unreadable or not what its name promises."""


class VariantRefused(ModelError):
    """A variant has no model, because its file was refused: exit code 2."""

    exit_code = 2


class ScheduleError(OctavoError):
    """A schedule has an unknown time or time zone, or cannot be set up."""


class PromotionRefused(OctavoError):
    """The policy refuses a promotion: exit code 2."""

    exit_code = 2


class AuditFailed(OctavoError):
    """The audit log, or something that it protects, was changed: exit code 2."""

    exit_code = 2


class KeyUnusable(OctavoError):
    """A key is missing, or it cannot sign or verify."""


class SignatureInvalid(OctavoError):
    """Files differ from what was signed: exit code 2."""

    exit_code = 2


class ServiceUnavailable(OctavoError):
    """A service (MLflow, a remote) is out of reach: exit code 3."""

    exit_code = 3


@contextmanager
def boundary(say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Turn expected errors into one sentence on stderr and an exit code.

    An `OctavoError` ends with its own exit code. A missing library that an extra installs ends with 1. A full disk or
    too little memory ends with 3.

    Args:
        say: prints a sentence; by default to stderr.

    Raises:
        SystemExit: with the exit code.
    """
    say = say or _say
    try:
        yield
    except OctavoError as error:
        say(f"octavo: {error}")
        raise SystemExit(error.exit_code) from None
    except ModuleNotFoundError as fault:
        said = extras.sentence(fault)
        if said is None:
            raise
        say(f"octavo: {said}")
        raise SystemExit(OctavoError.exit_code) from None
    except MemoryError:
        say("octavo: This machine's memory is too small. Free some, or use a larger machine.")
        raise SystemExit(ServiceUnavailable.exit_code) from None
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = error.filename or "a file"
        say(
            f"octavo: Cannot write {where}: {NO_ROOM[error.errno]}. No file is left half-written. Free some space and "
            "run the same command again."
        )
        raise SystemExit(ServiceUnavailable.exit_code) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question after a message, ` Did you mean 'x'?`, if one of the known words is similar; otherwise nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near and near[0] != word else ""


def known_are(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: a similar word, if there is one, and all known ones."""
    known = list(known)
    return f"{did_you_mean(word, known)} Known: {', '.join(known) or 'none'}"


def some(names: Iterable[str], most: int = 3) -> str:
    """The first few names for a message, and the number of the others.

    >>> some(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
