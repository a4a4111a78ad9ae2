"""The failures Octavo names, and the one boundary that prints them.

A message says what failed, what was got, what is allowed and the next step.
"""

import errno
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from octavo.project import extras

NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
"""What stops a write although nobody made a mistake."""

STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, but for tabs and ends of lines."""


class OctavoError(Exception):
    """The user's mistake: one clear sentence, exit code 1, no traceback."""

    exit_code = 1

    def __init__(self, message: object = "") -> None:
        """`message` may name files: bytes that are not UTF-8, and characters that steer a terminal, become escapes."""
        plain = str(message).encode("utf-8", "backslashreplace").decode()
        super().__init__(STEERING.sub(lambda found: ascii(found[0])[1:-1], plain))


class DataError(OctavoError):
    """The data cannot be used as it is."""


class ParamsError(OctavoError):
    """`params.yaml` asks for something that does not exist or contradicts itself."""


class ModelError(OctavoError):
    """A model file is missing, unreadable or not what its name promises."""


class VariantRefused(ModelError):
    """A variant's file is wrong, and so there is no model of it: exit code 2."""

    exit_code = 2


class ScheduleError(OctavoError):
    """A schedule names no time or zone there is, or cannot be set up as asked."""


class PromotionRefused(OctavoError):
    """The policy refuses a promotion: exit code 2."""

    exit_code = 2


class AuditFailed(OctavoError):
    """The audit log, or what it vouches for, is not what it was: exit code 2."""

    exit_code = 2


class KeyUnusable(OctavoError):
    """A key is missing, or cannot sign or verify."""


class SignatureInvalid(OctavoError):
    """Files are not what was signed: exit code 2."""

    exit_code = 2


class ServiceUnavailable(OctavoError):
    """A service (MLflow, a remote) is out of reach: exit code 3."""

    exit_code = 3


@contextmanager
def boundary(say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Turn an `OctavoError` into its sentence on stderr and its exit code, a library that an extra has into 1.

    A full disk or memory ends in 3.

    Args:
        say: writes a sentence to people; stderr by default.

    Raises:
        SystemExit: with the error's `exit_code`.
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
            f"octavo: Cannot write {where}: {NO_ROOM[error.errno]}. What is there is whole; make room and run the same "
            "command again."
        )
        raise SystemExit(ServiceUnavailable.exit_code) from None


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
