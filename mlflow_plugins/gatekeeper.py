"""The server's own gate: the aliases of a model that Octavo registered stand where its audit log puts them.

It stands before MLflow's registry store, so that there is no way around it: whatever endpoint a write comes by, REST or
the UI's, of this MLflow or of a later one, ends in one of the store's few methods.

`octavo promote` and `octavo rollback` write a move down before they make it, and it counts from when the registered
model's tag `audit.head` names the record. So the move is judged there, before anything has moved, and once more at
each alias.
"""

import functools
import inspect
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.model_registry.abstract_store import AbstractStore

from mlflow_plugins import ledger, standing, terms, warrant
from mlflow_plugins.aliases import RECORD
from mlflow_plugins.standing import ANCHOR, CHAMPION, HEAD, LOG, ORDER, PREVIOUS, State
from pipeline.errors import AuditFailed, OctavoError
from pipeline.moves import Aliases, Move
from pipeline.params import Policy

KEPT = (terms.DIGEST, terms.SHA256, terms.VARIANT)
"""Tags of a version that say what it is."""
WHY = "it says what Octavo registered"
MayForce = Callable[[], bool]
"""Whether who asks may move the aliases of the model that the request names against the verdict."""


@dataclass(frozen=True)
class Gatekeeper:
    """What is asked before a write: each public method has the name and the arguments of the store's, and raises."""

    store: AbstractStore
    policy: Policy
    may_force: MayForce

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        if looks_reserved(alias) and alias not in ORDER and self._is_ours(name, version):
            raise refusal(
                f"The alias {alias!a} of {name} could be taken for one of {', '.join(ORDER)}, which move by octavo "
                "promote and octavo rollback alone. Choose another name."
            )
        if alias not in ORDER or not self._is_ours(name, version):
            return
        head = self._head(name)
        if head is None or head.after.get(alias) != str(version):
            raise refusal(
                f"The alias {alias} of {name} moves by octavo promote and octavo rollback alone, which write down "
                f"why. The audit log does not say that it moves to version {version}; "
                f"it says {_where(head.after if head else {})}."
            )
        self._judge(head)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        if alias in ORDER and alias in self._recorded(name):
            raise refusal(f"The audit log of {name} says that there is a {alias}: the alias is not deleted.")

    def set_registered_model_tag(self, name: str, tag: RegisteredModelTag) -> None:
        tags = self._tags(name)
        if tag.key == HEAD and tag.value != tags.get(HEAD):
            self._judge(self._next(name, tag.value))
        if tag.key == LOG and HEAD in tags and tag.value != tags.get(LOG):
            raise refusal(f"The tag {LOG} of {name} is not changed: it says where the audit log is.")

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        if key in (HEAD, LOG):
            raise refusal(f"{key} of {name} is not deleted: it vouches for the audit log.")

    def delete_model_version(self, name: str, version: str) -> None:
        for alias, number in self._recorded(name).items():
            if _is_number(version, number):
                raise refusal(f"Version {version} of {name} is not deleted: it is the {alias}.")

    def set_model_version_tag(self, name: str, version: str, tag: ModelVersionTag) -> None:
        known = self._tags_of(name, version)
        if tag.key in KEPT and known.get(tag.key, tag.value) != tag.value:
            raise refusal(f"The tag {tag.key} of version {version} of {name} is not changed: {WHY}.")

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        if key in KEPT and key in self._tags_of(name, version):
            raise refusal(f"The tag {key} of version {version} of {name} is not deleted: {WHY}.")

    def delete_registered_model(self, name: str) -> None:
        self._keep(name, "deleted")

    def rename_registered_model(self, name: str, new_name: str) -> None:
        self._keep(name, "renamed")

    def _keep(self, name: str, what: str) -> None:
        if self._recorded(name):
            raise refusal(f"{name} is not {what}: it has a champion, and an audit log in its name.")

    def _is_ours(self, name: str, version: str) -> bool:
        """Whether Octavo registered the model, or this version of it."""
        if HEAD in self._tags(name):
            return True
        if "'" in name:  # Octavo's own searches could not name it
            return False
        registered = f"name = '{name}' and tag.`{terms.DIGEST}` LIKE '%'"
        return bool(self.store.search_model_versions(registered, max_results=1))

    def _tags(self, name: str) -> dict[str, str]:
        return self._state(name).tags

    def _tags_of(self, name: str, version: str) -> dict[str, str]:
        """The tags of a version; none where there is no such version."""
        try:
            return dict(self.store.get_model_version(name, version).tags)
        except MlflowException:
            return {}

    def _state(self, name: str) -> State:
        """Where the model stands; one that is not there stands nowhere."""
        try:
            return standing.of(self.store.get_registered_model(name))
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            return State(name, 0, {}, {})

    def _recorded(self, name: str) -> Aliases:
        """Where the audit log puts the aliases; nowhere where there is none."""
        head = self._head(name)
        return head.after if head else {}

    def _head(self, name: str) -> Move | None:
        """The last record, None before the first."""
        now = self._state(name)
        sequence, last = now.head
        return self._record(now, sequence, last) if sequence else None

    def _next(self, name: str, value: str | None) -> Move:
        """The record that a new `audit.head` names, held to the one before and to where the aliases stand."""
        now = self._state(name)
        sequence, last = now.head
        number, _, hash_ = (value or "").partition(" ")
        if number != str(sequence + 1):
            raise refusal(f"Record {sequence + 1} of the audit log of {name} comes next, not {number or 'none'}.")
        move = self._record(now, sequence + 1, hash_)
        if move.model != name or move.parent != last or move.before != now.aliases or not _is_one_move(move):
            raise refusal(f"Record {number} of the audit log of {name} does not follow from where its aliases stand.")
        return move

    def _record(self, now: State, sequence: int, hash_: str) -> Move:
        try:
            return ledger.record(now, sequence, hash_)
        except AuditFailed as error:
            raise refusal(str(error)) from None

    def _judge(self, move: Move) -> None:
        """Let a move pass that the policy lets pass, that returns to a champion, or that one made who may force it."""
        try:
            against = list(self._objections(move))
        except OctavoError as error:
            against = [str(error).rstrip(".")]
        forced = move.note is not None or move.action != "promote"
        if not against or (forced and self.may_force()):
            return
        allowed = " Those who manage the model may force it." if forced else ""
        raise refusal(
            f"Version {move.version} ({move.variant}) does not become {CHAMPION} of {move.model}, "
            f"this server's policy decides: {'; '.join(against)}.{allowed}"
        )

    def _objections(self, move: Move) -> list[str]:
        if move.action == "repair":
            return ["a repair is for those who manage the model"]
        tags = dict(self.store.get_model_version(move.model, move.version).tags)
        now = self._state(move.model)
        if move.action == "promote":
            return list(warrant.objections(move, ledger.grounds(now, move), tags, self.policy))
        sequence, _, hash_ = tags.get(RECORD, "").partition(" ")
        if not sequence.isdigit():
            return ["it was never champion"]
        before = self._record(now, int(sequence), hash_)
        if before.version != move.version or before.digests["model"] != move.digests["model"]:
            return ["it was champion with other bytes"]
        return []


def looks_reserved(alias: str) -> bool:
    """Whether people could take the alias for a reserved one.

    So they can if it is one once case, white space and characters that are not seen are left out, and every letter that
    is not ASCII could be any: scripts have many that look like a Latin one. A word of one other script looks like none.
    """
    letters = unicodedata.normalize("NFKD", alias).casefold()
    seen = [letter for letter in letters if unicodedata.category(letter)[0] not in "CZM"]
    return any(
        len(seen) == len(name)
        and any(letter.isascii() for letter in seen)
        and all(letter == known or not letter.isascii() for letter, known in zip(seen, name, strict=True))
        for name in ORDER
    )


def _is_number(version: object, number: str) -> bool:
    """Whether MLflow takes `version` for that number: it reads `06` and ` 6` as 6."""
    try:
        return int(str(version)) == int(number)
    except ValueError:
        return False


CHECKED = tuple(name for name in vars(Gatekeeper) if not name.startswith("_"))
"""Methods of the store that can move an alias, or what its move rests on."""


def guard(store: AbstractStore, policy: Policy, may_force: MayForce) -> None:
    """Let `store` ask a gatekeeper before each write that can move an alias."""
    keeper = Gatekeeper(store, policy, may_force)
    for name in CHECKED:
        setattr(store, name, _checked(getattr(store, name), getattr(keeper, name)))


def refusal(sentence: str) -> MlflowException:
    """HTTP 403, which MLflow's clients show as this sentence."""
    return MlflowException(sentence, error_code=PERMISSION_DENIED)


def _checked(write: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(write)
    def checked(*arguments: Any, **options: Any) -> Any:
        check(**inspect.signature(write).bind(*arguments, **options).arguments)
        return write(*arguments, **options)

    return checked


def _is_one_move(move: Move) -> bool:
    """Whether a champion that gives way to the version becomes previous, and the anchor stays or is the version."""
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
