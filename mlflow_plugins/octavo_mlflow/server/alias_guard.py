"""The server's gate: the aliases of a model that Octavo registered must be where its audit log puts them.

The gate stands in front of MLflow's registry store. Every write ends in one of the store's few methods, whatever
endpoint it comes by (REST or the UI's, of this MLflow or a later one), so there is no way around the gate.

`octavo promote` and `octavo rollback` record a move before they apply it. The record counts from the moment when the
registered model's tag `audit.head` names it. So the gate judges the move when that tag is set, before anything has
moved, and again at each alias.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.project.cli import typed_text
from octavo.project.params.policy import Policy
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Aliases, Move
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.registry.audit_log import audit_run
from octavo_mlflow.registry.standing import APPROVED, DONE, HEAD, LOG, ORDER, REQUEST
from octavo_mlflow.server import evidence, four_eyes, move_check, new_versions, server_audit_log
from octavo_mlflow.server.four_eyes import Sender
from octavo_mlflow.server.guarded_models import Models
from octavo_mlflow.server.move_check import MayForce
from octavo_mlflow.server.refusal import refusal, refuse

KEPT = (registry_tags.DIGEST, registry_tags.SHA256, registry_tags.VARIANT, registry_tags.FOLDER)
"""Tags of a version that identify it."""
WHY = "it says what Octavo registered"


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

    models: Models
    policy: Policy
    may_force: MayForce
    guarded: Guarded
    sender: Sender

    def create_registered_model(self, name: str, tags: list[RegisteredModelTag] | None = None, **_: object) -> None:
        refuse(four_eyes.in_names([tag.key for tag in tags or ()], is_new=True))

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        names = (*ORDER, *self.guarded.aliases)
        if typed_text.like(alias, names) and alias not in names and self.models.is_ours(name):
            raise refusal(
                f"The alias {alias!a} of {name} is easily mistaken for one of {', '.join(names)}, which this server "
                "guards. Choose another name."
            )
        if alias in self.guarded.aliases and self.models.is_ours(name):
            self._hold_to_champions(name, f"The alias {alias}", str(version))
        if alias not in ORDER or not self.models.is_ours(name):
            return
        head = self.models.head(name)
        if head is None or head.after.get(alias) != str(version):
            raise refusal(
                f"The alias {alias} of {name} is moved only by octavo promote and octavo rollback, which record the "
                f"reason. The audit log does not say that it moves to version {version}; "
                f"it says {_where(head.after if head else {})}."
            )
        self._judge(head)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        if alias in ORDER and alias in self.models.recorded(name):
            raise refusal(f"The audit log of {name} says that there is a {alias}: the alias is not deleted.")

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        tags = self.models.state(name).tags
        refuse(four_eyes.in_names([tag.key], is_new=False))
        if tag.key == HEAD and tag.value != tags.get(HEAD):
            move = self.models.following(name, tag.value)
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
        for alias, number in self.models.recorded(name).items():
            if _is_number(version, number):
                raise refusal(f"Version {version} of {name} is not deleted: it is the {alias}.")

    def create_model_version(self, name: str, source: str, tags: Sequence[Any] | None = None, **_: object) -> None:
        made_with = {tag.key: tag.value for tag in tags or ()}
        refuse(new_versions.in_version(self.models.store, self.models.state(name), source, made_with))

    def transition_model_version_stage(self, name: str, version: str, stage: str, **_: object) -> None:
        if stage.casefold() in self.guarded.aliases and self.models.is_ours(name):
            self._hold_to_champions(name, f"The stage {stage}", str(version))

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        known = self.models.tags_of(name, version)
        if tag.key == registry_tags.DIGEST and tag.key not in known:
            refuse(new_versions.in_adoption(self.models.state(name), {tag.key: tag.value}))
        if tag.key in new_versions.MARKS and known.get(tag.key) != tag.value and self.models.is_ours(name):
            refuse(
                new_versions.in_mark(self.models.chain(self.models.state(name)), _number(version), tag.key, tag.value)
            )
        if tag.key in KEPT and known.get(tag.key, tag.value) != tag.value:
            raise refusal(f"The tag {tag.key} of version {version} of {name} is not changed: {WHY}.")

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        if key in KEPT and key in self.models.tags_of(name, version):
            raise refusal(f"The tag {key} of version {version} of {name} is not deleted: {WHY}.")
        if key in new_versions.MARKS and self.models.is_ours(name):
            refuse(new_versions.in_mark(self.models.chain(self.models.state(name)), _number(version), key, None))

    def delete_registered_model(self, name: str) -> None:
        self._keep(name, "deleted")

    def rename_registered_model(self, name: str, new_name: str) -> None:
        self._keep(name, "renamed")
        if self.models.is_ours(name):
            now = self.models.state(name)
            refuse(new_versions.in_adoption(replace(now, model=new_name), {registry_tags.DIGEST: ""}))

    def _keep(self, name: str, what: str) -> None:
        if self.models.recorded(name):
            raise refusal(f"{name} is not {what}: it has a champion and an audit log.")

    def _hold_to_champions(self, name: str, what: str, version: str) -> None:
        """Refuse to point an alias or stage at a version that was never champion, or that differs from what
        was judged.
        """
        made = audit_record.champions(self.models.chain(self.models.state(name))).get(version)
        if made is None:
            raise refusal(
                f"{what} of {name} may only point at a version that is or was champion. According to the audit log, "
                f"version {version} never was. Promote it first: octavo promote."
            )
        if wrong := list(evidence.against_champion(self.models.store, made)):
            raise refusal(f"{what} of {name} is not moved to version {version}: {'; '.join(wrong)}.")

    def _judge(self, move: Move) -> None:
        move_check.judge(self.models, move, self.policy, self.may_force, self.guarded.baseline)

    def _is_done(self, name: str, value: str) -> bool:
        """Whether this is the number of the last move, and that move was applied."""
        head = self.models.head(name)
        return head is not None and value == str(head.sequence) and self.models.state(name).aliases == head.after

    def _hear(self, name: str, tag: RegisteredModelTag) -> None:
        """Let a user request or approve a promotion, in their own name only."""
        now = self.models.state(name)
        named = tag.value if tag.key == REQUEST else now.tags.get(REQUEST)
        asked = self.models.following(name, named, audit_run.REQUESTS)
        if tag.key == REQUEST:
            refuse(four_eyes.in_request(now, asked, self.sender()))
        else:
            refuse(four_eyes.in_approval(now, asked, tag.value, self.sender()))
        self._judge(asked)

    def _hold_to_four_eyes(self, move: Move) -> None:
        now, needed = self.models.state(move.model), self.policy.approvals
        asked = self.models.record(now, move.sequence, move.request, audit_run.REQUESTS) if move.request else None
        refuse(four_eyes.in_move(now, move, asked, self.sender(), needed))
        if needed and move.action != "promote":
            refuse(four_eyes.in_way_round(move, self.models.chain(now)))


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
    keeper = Gatekeeper(Models(store), policy, may_force, guarded, sender)
    for name in CHECKED:
        setattr(store, name, _checked(getattr(store, name), getattr(keeper, name)))


def _checked(write: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(write)
    def checked(*arguments: Any, **options: Any) -> Any:
        check(**inspect.signature(write).bind(*arguments, **options).arguments)
        return write(*arguments, **options)

    return checked


def _where(after: Aliases) -> str:
    return ", ".join(f"{alias} is version {version}" for alias, version in after.items()) or "nothing yet"
