"""The server's gate: the aliases of a model that Octavo registered must be where its audit log puts them.

The gate stands in front of MLflow's registry store. Every write ends in one of the store's few methods, whatever
endpoint it comes by (REST or the UI's, of this MLflow or a later one), so there is no way around the gate.

`octavo promote` and `octavo rollback` record a move before they apply it. The record counts from the moment when the
registered model's tag `audit.head` names it. So the gate judges the move when that tag is set, before anything has
moved, and again at each alias.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.project import typed_text
from octavo.project.errors import AuditFailed, OctavoError
from octavo.project.params.policy import Policy
from octavo.promotion import audit_record
from octavo.promotion.audit_record import FOLDER, Aliases, Move
from octavo_mlflow.registry import audit_log, standing
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.registry.aliases import RECORD
from octavo_mlflow.registry.standing import (
    ANCHOR,
    APPROVED,
    CHAMPION,
    DONE,
    HEAD,
    LOG,
    NUMBER,
    ORDER,
    PREVIOUS,
    REQUEST,
    State,
)
from octavo_mlflow.server import evidence, four_eyes, new_versions, promotion_check, server_audit_log
from octavo_mlflow.server.four_eyes import Sender

KEPT = (registry_tags.DIGEST, registry_tags.SHA256, registry_tags.VARIANT, registry_tags.FOLDER)
"""Tags of a version that identify it."""
WHY = "it says what Octavo registered"
MayForce = Callable[[], bool]
"""Whether the sender may move the aliases of the requested model against the verdict."""


@dataclass(frozen=True)
class Guarded:
    """What the server knows about the models in addition to the policy."""

    aliases: tuple[str, ...] = ()
    """Further aliases, which may point only at versions that are or were champion."""
    baseline: str | None = None
    """The variant that promotions must be compared with; None if the server's file does not name it."""


@dataclass(frozen=True)
class Gatekeeper:
    """The checks before a write. Each public method has the name and arguments of the store's method, and raises to
    refuse.
    """

    store: AbstractStore
    policy: Policy
    may_force: MayForce
    guarded: Guarded
    sender: Sender

    def create_registered_model(self, name: str, tags: list[RegisteredModelTag] | None = None, **_: object) -> None:
        _refuse(four_eyes.in_names([tag.key for tag in tags or ()], is_new=True))

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        names = (*ORDER, *self.guarded.aliases)
        if typed_text.like(alias, names) and alias not in names and self._is_ours(name):
            raise refusal(
                f"The alias {alias!a} of {name} is easily mistaken for one of {', '.join(names)}, which this server "
                "guards. Choose another name."
            )
        if alias in self.guarded.aliases and self._is_ours(name):
            self._hold_to_champions(name, f"The alias {alias}", str(version))
        if alias not in ORDER or not self._is_ours(name):
            return
        head = self._head(name)
        if head is None or head.after.get(alias) != str(version):
            raise refusal(
                f"The alias {alias} of {name} is moved only by octavo promote and octavo rollback, which record the "
                f"reason. The audit log does not say that it moves to version {version}; "
                f"it says {_where(head.after if head else {})}."
            )
        self._judge(head)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        if alias in ORDER and alias in self._recorded(name):
            raise refusal(f"The audit log of {name} says that there is a {alias}: the alias is not deleted.")

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        tags = self._tags(name)
        _refuse(four_eyes.in_names([tag.key], is_new=False))
        if tag.key == HEAD and tag.value != tags.get(HEAD):
            move = self._next(name, tag.value)
            self._hold_to_four_eyes(move)
            self._judge(move)
        if tag.key in (REQUEST, APPROVED) and tag.value != tags.get(tag.key):
            self._hear(name, tag)
        if (
            tag.key == LOG
            and tag.value != tags.get(LOG)
            and (HEAD in tags or not server_audit_log.holds_log(name, tag.value))
        ):
            raise refusal(f"The tag {LOG} of {name} cannot be set to this: it says where the audit log is.")
        if tag.key == DONE and tag.value != tags.get(DONE) and not self._is_done(name, tag.value):
            raise refusal(f"The tag {DONE} of {name} cannot be set to this: move {tag.value} was not made.")

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        if key in (HEAD, LOG, DONE):
            raise refusal(f"{key} of {name} is not deleted: the audit log depends on it.")

    def delete_model_version(self, name: str, version: str) -> None:
        for alias, number in self._recorded(name).items():
            if _is_number(version, number):
                raise refusal(f"Version {version} of {name} is not deleted: it is the {alias}.")

    def create_model_version(self, name: str, source: str, tags: Sequence[Any] | None = None, **_: object) -> None:
        made_with = {tag.key: tag.value for tag in tags or ()}
        _refuse(new_versions.in_version(self.store, self._state(name), source, made_with))

    def transition_model_version_stage(self, name: str, version: str, stage: str, **_: object) -> None:
        if stage.casefold() in self.guarded.aliases and self._is_ours(name):
            self._hold_to_champions(name, f"The stage {stage}", str(version))

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        known = self._tags_of(name, version)
        if tag.key == registry_tags.DIGEST and tag.key not in known:
            _refuse(new_versions.in_adoption(self._state(name), {tag.key: tag.value}))
        if tag.key in new_versions.MARKS and known.get(tag.key) != tag.value and self._is_ours(name):
            _refuse(new_versions.in_mark(self._chain(self._state(name)), _number(version), tag.key, tag.value))
        if tag.key in KEPT and known.get(tag.key, tag.value) != tag.value:
            raise refusal(f"The tag {tag.key} of version {version} of {name} is not changed: {WHY}.")

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        if key in KEPT and key in self._tags_of(name, version):
            raise refusal(f"The tag {key} of version {version} of {name} is not deleted: {WHY}.")
        if key in new_versions.MARKS and self._is_ours(name):
            _refuse(new_versions.in_mark(self._chain(self._state(name)), _number(version), key, None))

    def delete_registered_model(self, name: str) -> None:
        self._keep(name, "deleted")

    def rename_registered_model(self, name: str, new_name: str) -> None:
        self._keep(name, "renamed")
        if self._is_ours(name):
            now = self._state(name)
            _refuse(new_versions.in_adoption(replace(now, model=new_name), {registry_tags.DIGEST: ""}))

    def _keep(self, name: str, what: str) -> None:
        if self._recorded(name):
            raise refusal(f"{name} is not {what}: it has a champion and an audit log.")

    def _is_ours(self, name: str) -> bool:
        """Whether Octavo registered the model."""
        return new_versions.is_ours(self.store, self._state(name))

    def _hold_to_champions(self, name: str, what: str, version: str) -> None:
        """Refuse to point an alias or stage at a version that was never champion, or that differs from what
        was judged.
        """
        made = audit_record.champions(self._chain(self._state(name))).get(version)
        if made is None:
            raise refusal(
                f"{what} of {name} may only point at a version that is or was champion. According to the audit log, "
                f"version {version} never was. Promote it first: octavo promote."
            )
        if wrong := list(evidence.against_champion(self.store, made)):
            raise refusal(f"{what} of {name} is not moved to version {version}: {'; '.join(wrong)}.")

    def _is_done(self, name: str, value: str) -> bool:
        """Whether this is the number of the last move, and that move was applied."""
        head = self._head(name)
        return head is not None and value == str(head.sequence) and self._state(name).aliases == head.after

    def _chain(self, now: State) -> list[Move]:
        try:
            return server_audit_log.chain(now)
        except AuditFailed as error:
            raise refusal(str(error)) from None

    def _tags(self, name: str) -> dict[str, str]:
        return self._state(name).tags

    def _tags_of(self, name: str, version: str) -> dict[str, str]:
        """The tags of a version; empty if there is no such version."""
        try:
            return dict(self.store.get_model_version(name, version).tags)
        except MlflowException:
            return {}

    def _state(self, name: str) -> State:
        """The model's state; an empty one if there is no such model."""
        try:
            return standing.of(self.store.get_registered_model(name))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return State(name, 0, {}, {})

    def _recorded(self, name: str) -> Aliases:
        """Where the audit log puts the aliases; empty if there is no log."""
        head = self._head(name)
        return head.after if head else {}

    def _head(self, name: str) -> Move | None:
        """The last record, or None before the first."""
        now = self._state(name)
        sequence, last = now.head
        return self._record(now, sequence, last) if sequence else None

    def _hear(self, name: str, tag: RegisteredModelTag) -> None:
        """Let a user request or approve a promotion, in their own name only."""
        now = self._state(name)
        named = tag.value if tag.key == REQUEST else now.tags.get(REQUEST)
        asked = self._next(name, named, audit_log.REQUESTS)
        if tag.key == REQUEST:
            _refuse(four_eyes.in_request(now, asked, self.sender()))
        else:
            _refuse(four_eyes.in_approval(now, asked, tag.value, self.sender()))
        self._judge(asked)

    def _hold_to_four_eyes(self, move: Move) -> None:
        now, needed = self._state(move.model), self.policy.approvals
        asked = self._record(now, move.sequence, move.request, audit_log.REQUESTS) if move.request else None
        _refuse(four_eyes.in_move(now, move, asked, self.sender(), needed))
        if needed and move.action != "promote":
            _refuse(four_eyes.in_way_round(move, self._chain(now)))

    def _next(self, name: str, value: str | None, kind: str = audit_log.RECORDS) -> Move:
        """The record that a new `audit.head` names, checked against the preceding record and the present aliases."""
        now = self._state(name)
        sequence, last = now.head
        number, _, hash_ = (value or "").partition(" ")
        if number != str(sequence + 1):
            raise refusal(f"Record {sequence + 1} of the audit log of {name} comes next, not {number or 'none'}.")
        move = self._record(now, sequence + 1, hash_, kind)
        if move.model != name or move.parent != last or move.before != now.aliases or not _is_one_move(move):
            raise refusal(f"Record {number} of the audit log of {name} does not match the model's present aliases.")
        return move

    def _record(self, now: State, sequence: int, hash_: str, kind: str = audit_log.RECORDS) -> Move:
        try:
            return server_audit_log.record(now, sequence, hash_, kind)
        except AuditFailed as error:
            raise refusal(str(error)) from None

    def _judge(self, move: Move) -> None:
        """Accept a move that the policy accepts, that returns to a former champion, or that an authorized
        user forces.
        """
        try:
            text = server_audit_log.grounds(self._state(move.model), move) if move.action == "promote" else ""
            against, false = self._objections(move, text), list(self._false(move, text))
        except OctavoError as error:
            against, false = [str(error).rstrip(".")], []
        if false:
            raise refusal(
                f"Version {move.version} ({move.variant}) does not become {CHAMPION} of {move.model}, and nobody can "
                f"force it, because its record is not true: {'; '.join(false)}."
            )
        forced = move.note is not None or move.action != "promote"
        if not against or (forced and self.may_force()):
            return
        allowed = " Those who manage the model may force it." if forced else ""
        raise refusal(
            f"Version {move.version} ({move.variant}) does not become {CHAMPION} of {move.model}, "
            f"by this server's policy: {'; '.join(against)}.{allowed}"
        )

    def _objections(self, move: Move, text: str) -> list[str]:
        """Reasons against a move. `text` is the grounds of a promotion."""
        if move.action == "repair":
            return ["a repair is for those who manage the model"]
        tags = dict(self.store.get_model_version(move.model, move.version).tags)
        if move.action == "promote":
            return list(promotion_check.objections(move, text, tags, self.policy))
        now = self._state(move.model)
        sequence, _, hash_ = tags.get(RECORD, "").partition(" ")
        before = self._record(now, int(sequence), hash_) if NUMBER.fullmatch(sequence) else None
        # Anybody may store a record beside those of the log.
        if before is None or before.action == "repair" or before not in self._chain(now):
            return ["it was never champion"]
        if before.version != move.version or before.digests.get("model") != move.digests.get("model"):
            return ["it was champion with other bytes"]
        if FOLDER in before.digests and before.digests[FOLDER] != move.digests.get(FOLDER):
            return ["it was champion with other files beside its model"]
        return []

    def _false(self, move: Move, text: str) -> Iterator[str]:
        """Statements of the record that are not true. Neither the policy nor `--force` can accept them."""
        if move.action == "promote":
            yield from evidence.against_promotion(self.store, move, text, self.guarded.baseline)
        if move.action == "rollback":
            yield from evidence.against_files(self.store, move)


def _number(version: object) -> str:
    """The number that MLflow reads in `version`, or `version` itself if it is not a number."""
    try:
        return str(int(str(version)))
    except ValueError:
        return str(version)


def _is_number(version: object, number: str) -> bool:
    """Whether MLflow reads `version` as that number: it reads `06` and ` 6` as 6."""
    return _number(version) == number


CHECKED = tuple(name for name in vars(Gatekeeper) if not name.startswith("_"))
"""Methods of the store that can move an alias, or change what its move depends on."""


def guard(store: AbstractStore, policy: Policy, may_force: MayForce, guarded: Guarded, sender: Sender) -> None:
    """Make `store` ask a gatekeeper before each write that can move an alias.

    Args:
        store: the server's registry store; its methods are replaced.
        policy: the server's policy.
        may_force: whether the sender may move aliases against the verdict.
        guarded: further guarded aliases, and the baseline.
        sender: returns the name of the user who sends the request.
    """
    keeper = Gatekeeper(store, policy, may_force, guarded, sender)
    for name in CHECKED:
        setattr(store, name, _checked(getattr(store, name), getattr(keeper, name)))


def refusal(sentence: str) -> MlflowException:
    """An error with HTTP status 403, which MLflow's clients show as this sentence."""
    return MlflowException(sentence, error_code=PERMISSION_DENIED)


def _refuse(sentences: Iterable[str]) -> None:
    """Refuse the write with the first sentence, if there is one."""
    for sentence in sentences:
        raise refusal(sentence)


def _checked(write: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(write)
    def checked(*arguments: Any, **options: Any) -> Any:
        check(**inspect.signature(write).bind(*arguments, **options).arguments)
        return write(*arguments, **options)

    return checked


def _is_one_move(move: Move) -> bool:
    """Whether the old champion becomes previous, and the anchor either stays or becomes the new version."""
    if move.action == "repair":
        return True
    left = move.before.get(CHAMPION)
    previous = move.before.get(PREVIOUS) if left in (None, move.version) else left
    return (
        move.after.get(CHAMPION) == move.version
        and move.after.get(PREVIOUS) == previous
        and move.after.get(ANCHOR) in (move.before.get(ANCHOR), move.version)
    )


def _where(after: Aliases) -> str:
    return ", ".join(f"{alias} is version {version}" for alias, version in after.items()) or "nothing yet"
