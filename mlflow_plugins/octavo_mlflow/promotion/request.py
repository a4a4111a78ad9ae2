"""The open request of a registered model: a promotion that waits for approvals.

A request is bound to the preceding record, to the aliases and to the bytes of the version. If one of them changes, the
request lapses and nothing moves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from octavo.project.cli import typed_text
from octavo.project.errors import ModelError, PromotionRefused
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry import aliases, consent, versions
from octavo_mlflow.registry.aliases import Checked
from octavo_mlflow.registry.audit_log import audit_log
from octavo_mlflow.registry.mutex import lease
from octavo_mlflow.registry.standing import APPROVED, CHAMPION, REQUEST, State


@dataclass(frozen=True)
class Request:
    """The requested record, and the names of those who have approved it so far."""

    asked: Move
    approved: tuple[str, ...]

    @property
    def shown(self) -> dict[str, Any]:
        """The request for JSON output."""
        asked = self.asked
        return {
            "by": asked.who,
            "when": asked.when,
            "version": asked.version,
            "variant": asked.variant,
            "replaces": asked.before.get(CHAMPION),
            "note": asked.note,
            "approved": list(self.approved),
        }

    def __str__(self) -> str:
        asked = self.asked
        forced = f", against the verdict: {asked.note}" if asked.note else ""
        approved = f"; approved by {', '.join(self.approved)}" if self.approved else ""
        return typed_text.plain(
            f"{asked.who} asks to make version {asked.version} of {asked.model} ({asked.variant}) the {CHAMPION} in "
            f"place of version {asked.before.get(CHAMPION, 'none')}, since {asked.when}{forced}{approved}"
        )


def opened(client: MlflowClient, now: State) -> Request | None:
    """The open request, even if it has lapsed. None if there is none, its move was applied, or its record is
    missing.
    """
    found = consent.asked(now)
    if found is None:
        return None
    sequence, known = found
    if sequence <= now.head[0] and audit_log.is_granted(client, now, sequence, known):
        return None
    of_number = audit_log.requests(client, now, sequence)
    asked = next((each for each in of_number if each.hash == known and each.model == now.model), None)
    return Request(asked, consent.approvers(now, known)) if asked else None


def ask(client: MlflowClient, planned: Move, grounds: str, still_held: Callable[[], None], named: bool) -> Request:
    """Request approval of `planned`, and return the open request. An equal earlier request stays open.

    Args:
        client: of the tracking store.
        planned: the record, as it would be written.
        grounds: what the verdict follows from, as JSON.
        still_held: called before each write; raises if the mutex is lost. The caller holds the mutex.
        named: whether a person chose the variant. What Octavo chose does not replace another person's request.

    Raises:
        PromotionRefused: the aliases have moved since the move was planned.
        AuditFailed: as `aliases.settle`.
    """
    basis = aliases.begin(client, planned, still_held)
    before = opened(client, basis.now)
    if before is not None and not list(_changed(basis, before.asked)):
        is_others = not named and before.asked.who != planned.who
        if is_others or _meant(before.asked) == _meant(planned):
            return before
    still_held()
    audit_log.ask(client, basis.now, planned, grounds)
    return Request(planned, ())


def lapsed(client: MlflowClient, basis: Checked, asked: Move) -> str | None:
    """The reason why the request has lapsed, as a clause, or None. Reads the version's bytes.

    Args:
        client: of the tracking store.
        basis: the model's state and audit log.
        asked: the requested record.

    Raises:
        ModelError: MLflow holds no files of the version any more.
    """
    return next(_changed(basis, asked), None) or next(_in_version(client, asked), None)


def approve(
    client: MlflowClient, request: Request, who: str, needed: int, still_held: Callable[[], None]
) -> tuple[Request, Move | None]:
    """Add `who` to the approvers, and apply the move if enough people have approved. The caller holds the mutex.

    If enough people approved before and the last process was killed, the move is applied now.

    Args:
        client: of the tracking store.
        request: the open one, as the approver saw it.
        who: the approver's name, as the server knows it.
        needed: how many approvals are required.
        still_held: called before each write; raises if the mutex is lost.

    Returns:
        The request with its approvers, and the record of the move if it was applied.

    Raises:
        PromotionRefused: the request has changed or lapsed. Nothing has moved.
        AuditFailed: as `aliases.settle`. Nothing has moved.
    """
    asked = request.asked
    basis = aliases.settle(client, asked.model, still_held)
    if why := lapsed(client, basis, asked):
        raise PromotionRefused(f"The request has lapsed: {why}. Nothing has moved. To ask again: octavo promote.")
    found = opened(client, basis.now)
    if found is None or found.asked != asked:
        raise PromotionRefused(f"The request was withdrawn or replaced. See octavo status of {asked.model}.")
    missing = len(found.approved) < needed
    by = (*found.approved, who) if missing else found.approved
    made = consent.granted(asked, by, lease.now().isoformat(timespec="seconds"))
    if len(by) >= needed:
        audit_log.store(client, basis.now, made)  # a user without write access fails here, before the approval counts
    if missing:
        still_held()
        client.set_registered_model_tag(asked.model, APPROVED, consent.tag(asked.hash, by))
    if len(by) < needed:
        return Request(asked, by), None
    aliases.move(client, made, None, still_held)
    withdraw(client, asked.model)
    return Request(asked, by), made


def withdraw(client: MlflowClient, model: str) -> None:
    """Delete the open request. Its approvals are deleted first, so that none remains for another request."""
    tags = client.get_registered_model(model).tags
    for name in (APPROVED, REQUEST):
        if name in tags:
            client.delete_registered_model_tag(model, name)


def _meant(asked: Move) -> tuple[object, ...]:
    """What a request is about, apart from when it was judged and who asked."""
    bytes_ = {name: asked.digests.get(name) for name in ("model", audit_record.FOLDER)}
    return asked.version, asked.before, asked.after, asked.note, bytes_


def _changed(basis: Checked, asked: Move) -> Iterator[str]:
    """What changed in the audit log and the aliases since the request."""
    now, expected = basis.now, basis.follows
    if asked.before != now.aliases or asked.gone != expected["gone"]:
        yield f"it begins with {audit_record.said(asked.before)}, and now there is {audit_record.said(now.aliases)}"
    elif (asked.sequence, asked.parent) != (expected["sequence"], expected["parent"]):
        yield f"it would be move {asked.sequence}, and since then move {expected['sequence'] - 1} was made"


def _in_version(client: MlflowClient, asked: Move) -> Iterator[str]:
    """What changed in the version since the request."""
    if aliases.number(client, asked.model, asked.version) is None:
        yield f"version {asked.version} was deleted"
        return
    if unnamed := consent.NAMED - asked.digests.keys():
        yield f"it names no digest of its {', '.join(sorted(unnamed))}"
        return
    version = client.get_model_version(asked.model, asked.version)
    try:
        if versions.model_file(version).sha256 != asked.digests["model"]:
            yield f"the digest of version {asked.version} was changed"
        if versions.folder_digest(client, version) != asked.digests[audit_record.FOLDER]:
            yield f"the files of version {asked.version} are not those that were judged"
        with versions.fetched(client, version):
            pass
    except ModelError as error:
        yield error.clause("Run dvc repro.")
