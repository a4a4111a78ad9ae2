"""This machine's copy of an audit log. Later reads from MLflow are compared with it, so a shortened log is noticed.

A copy is named after the model and the time of its registration, so a model of the same name in another MLflow has a
copy of its own. Two logs that begin with the same record are the same log, even if the model was renamed.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from octavo.project import paths
from octavo.project.errors import AuditFailed, ModelError
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry.standing import State

SUFFIX = ".jsonl"
PLACE = paths.AUDIT_LOGS
"""The folder of all copies."""


def path(now: State, chain: Sequence[Move]) -> Path:
    """The path of the copy of the model's log. The file may not exist yet.

    Args:
        now: the registered model.
        chain: its log as MLflow has it.

    Raises:
        AuditFailed: an earlier release kept a copy under the model's name, and it belongs to another log.
    """
    if kept := _kept(now, {move.hash for move in chain[:1]}):
        return kept[0]
    old = paths.audit_log(now.model)
    if audit_record.read(old):
        raise AuditFailed(
            f"{old} is the copy of another audit log than that of {now.model} in this MLflow: of a model of that name "
            "in another MLflow, or one that was deleted. octavo audit --repair sets it aside."
        )
    return paths.audit_log(now.model, now.made)


def faults(now: State, chain: Sequence[Move]) -> Iterator[str]:
    """The differences between the copy and MLflow's log, one sentence each."""
    try:
        where = path(now, chain)
    except AuditFailed as error:
        yield str(error).rstrip(".")
        return
    yield from _differences(where, chain)


def check_head(now: State) -> None:
    """Compare the head of the log with this machine's copy, without reading the whole log.

    Raises:
        AuditFailed: the copy is longer than MLflow's log, or differs at the head.
    """
    sequence, known = now.head
    for where in _kept(now, ()):
        own = audit_record.read(where)
        if len(own) > sequence or (own and len(own) == sequence and own[-1].hash != known):
            raise AuditFailed(
                f"{where} has {len(own)} records of {now.model}, and MLflow's log ends with record {sequence} or with "
                "another: it was set back. octavo audit --repair proposes a way out."
            )


def prepare(now: State, chain: Sequence[Move]) -> None:
    """Update the copy before a move, so that a copy that cannot be written stops the move.

    Raises:
        ModelError: the copy cannot be written.
    """
    where = path(now, chain)
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        update(now, chain)
        with TemporaryFile(dir=where.parent):
            pass
    except OSError as error:
        raise ModelError(
            f"Nothing has moved: {where}, this machine's copy of the audit log, cannot be written "
            f"({error.strerror or error}). Make room for it, then run the same command again."
        ) from None


def update(now: State, chain: Sequence[Move]) -> None:
    """Update the copy. The caller has checked that it has no faults."""
    where = path(now, chain)
    if audit_record.read(where) != list(chain):
        audit_record.write(where, chain)


def any_of(now: State, stored: Mapping[str, Move]) -> list[Move]:
    """The records of an intact copy of the model's log; an empty list if there is no copy or it is damaged.

    Args:
        now: the registered model.
        stored: records that MLflow holds, by hash. A copy with another time in its name, or none, must begin with one
            of them.
    """
    for where in (*_kept(now, stored), paths.audit_log(now.model)):
        with suppress(AuditFailed):
            own = audit_record.read(where)
            by_moment = where != paths.audit_log(now.model)
            if own and not list(audit_record.faults(own)) and (by_moment or not stored or own[0].hash in stored):
                return own
    return []


def set_aside(now: State, chain: Sequence[Move]) -> None:
    """Rename the copies that differ from the log, so that nothing reads them again. They are kept."""
    for where in (*_kept(now, {move.hash for move in chain[:1]}), paths.audit_log(now.model)):
        if where.exists() and next(_differences(where, chain), None):
            taken = len(list(where.parent.glob(f"{where.name}.aside*")))
            where.rename(where.with_name(f"{where.name}.aside{taken + 1}"))


def _differences(where: Path, chain: Sequence[Move]) -> Iterator[str]:
    try:
        own = audit_record.read(where)
    except AuditFailed as error:
        yield str(error).rstrip(".")
        return
    differing = next(
        (place for place, (ours, theirs) in enumerate(zip(own, chain, strict=False), 1) if ours != theirs), None
    )
    if differing is not None:
        yield f"{where} has another record {differing} than MLflow"
    elif len(own) > len(chain):
        yield f"{where} has {len(own)} records, MLflow has {len(chain)}"


def _kept(now: State, firsts: Container[str]) -> list[Path]:
    """Copies of the model's log: first those with its registration time, then those that begin with one of `firsts`."""
    of_moment = sorted(paths.AUDIT_LOGS.glob(f"*.{now.made}{SUFFIX}"))
    others = [each for each in sorted(paths.AUDIT_LOGS.glob(f"*{SUFFIX}")) if each not in of_moment]
    return [*of_moment, *(each for each in others if _first(each) in firsts)]


def _first(path: Path) -> str | None:
    """The hash of the first record of a copy, or None if it has none that can be read."""
    try:
        return next((move.hash for move in audit_record.read(path)), None)
    except AuditFailed:
        return None
