"""Check that audit log, aliases, registered bytes and this machine's copy agree: each fault, and its cure.

Faults of the log itself come first, because nothing that depends on it can be judged before they are repaired. A repair
stores the sentence of a fault that it accepts, and later checks compare it word by word: do not change these sentences.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from octavo.project.cli import typed_text
from octavo.project.errors import AuditFailed, ModelError, OctavoError
from octavo.project.files import json_file
from octavo.promotion import audit_record, evidence
from octavo.promotion.audit_record import Move
from octavo.promotion.contradictions import joined
from octavo.promotion.evidence import Grounds
from octavo_mlflow.registry import aliases, consent, copies, standing, tags, versions
from octavo_mlflow.registry.audit_log import audit_copy, audit_log
from octavo_mlflow.registry.standing import ORDER, State

Cure = Literal[
    "restore the log", "renew the copy", "finish the move", "put the aliases back", "drop the alias", "tag", "accept"
]


@dataclass(frozen=True)
class Fault:
    """A fault as a clause, and what repairs it."""

    what: str
    cure: Cure
    of: str = ""
    """For the cure `tag` the version whose tag is wrong; for `drop the alias` the alias."""

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Found:
    """A registered model, its log as far as it can be read, and its faults."""

    now: State
    chain: list[Move]
    faults: list[Fault] = field(default_factory=list)


def examine(client: MlflowClient, model: str) -> Found:
    """All faults of a registered model, except those that a repair accepted.

    Raises:
        MlflowException: there is no such model, or MLflow does not answer.
    """
    now = standing.state(client, model)
    try:
        chain, unfinished = audit_log.read(client, now), now.unfinished
    except AuditFailed as error:
        return Found(now, [], [Fault(error.clause(audit_log.REPAIR), "restore the log")])
    known = {each for move in chain for each in move.known}
    found = [
        *(Fault(each, "accept") for each in audit_record.faults(chain, now.made / 1000)),
        *(Fault(each, "renew the copy") for each in audit_copy.faults(now, chain)),
        *_in_aliases(client, now, chain, unfinished),
        *_lookalikes(client, now),
        *_in_registry(client, now, chain),
    ]
    return Found(now, chain, [fault for fault in found if fault.cure != "accept" or fault.what not in known])


def _in_aliases(client: MlflowClient, now: State, chain: Sequence[Move], unfinished: bool) -> Iterator[Fault]:
    if not chain:
        return
    last = chain[-1]
    if unfinished:
        strays = aliases.strayed(now, last)
        if lost := aliases.missing(client, now.model, last.after):
            what = f"move {last.sequence} was cut short, and a version that it leaves an alias at was deleted since: "
            yield Fault(f"{what}{audit_record.said(lost)}", "put the aliases back")
        elif strays:
            what = f"move {last.sequence} was cut short, and since then there is {audit_record.said(strays)}"
            yield Fault(what, "put the aliases back")
        elif why := aliases.unfit(client, now, last):
            yield Fault(f"move {last.sequence} was cut short, and {why}", "put the aliases back")
        else:
            what = f"move {last.sequence} was cut short; the next octavo promote, rollback or nightly makes it"
            yield Fault(what, "finish the move")
        return
    lost = aliases.gone(client, now, last)
    if {**now.aliases, **lost} != last.after:
        yield Fault(aliases.moved(now, last), "put the aliases back")


def _lookalikes(client: MlflowClient, now: State) -> Iterator[Fault]:
    """Aliases that people could take for one of Octavo's: whoever asks for `Champion` gets what nobody promoted."""
    for alias, version in sorted(client.get_registered_model(now.model).aliases.items()):
        if alias not in ORDER and typed_text.like(alias, ORDER):
            what = f"the alias {alias!a}, at version {version}, is none of Octavo's and could be taken for one"
            yield Fault(what, "drop the alias", alias)


def _in_registry(client: MlflowClient, now: State, chain: Sequence[Move]) -> Iterator[Fault]:
    cards = {move.number: move.digests["scorecard"] for move in chain if "scorecard" in move.digests}
    for move in audit_record.champions(chain).values():
        yield from _in_version(client, now, move, cards.get(move.number))
    for move in chain:
        if "grounds" in move.digests:
            yield from _in_grounds(client, now, move)
        if move.request and not _was_asked_for(client, now, move):
            yield Fault(f"what was approved as record {move.sequence} was changed or removed", "accept")
    false = [*copies.within(client, now), *copies.invented(client, now, chain)]
    yield from (Fault(what, "accept") for what in false)


def _was_asked_for(client: MlflowClient, now: State, move: Move) -> bool:
    return any(consent.is_of(move, asked) for asked in audit_log.requests(client, now, move.sequence))


def _in_grounds(client: MlflowClient, now: State, move: Move) -> Iterator[Fault]:
    """Faults in the grounds of a promotion. Grounds that this release cannot read are left to `octavo replay`."""
    try:
        text = audit_log.grounds(client, now, move)
        wrong = list(evidence.faults(json_file.parse_record(text, Grounds)))
    except AuditFailed as error:
        yield Fault(error.clause(audit_log.REPAIR), "accept")
    except (json_file.Unreadable, OctavoError):
        return
    else:
        if wrong:
            what = f"figures that record {move.sequence} was judged by contradict each other: {joined(wrong)}"
            yield Fault(what, "accept")


def _in_version(client: MlflowClient, now: State, move: Move, card: str | None) -> Iterator[Fault]:
    """Faults in a version that was promoted.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        move: the last record that made it champion.
        card: digest of the scorecard that it was promoted by; None if it never was.
    """
    try:
        version = client.get_model_version(now.model, move.version)
        if version.tags.get(aliases.RECORD) != move.name:
            yield Fault(f"version {move.version} does not name record {move.sequence}", "tag", move.number)
        if (shown := versions.model_file(version).sha256) != move.digests["model"]:
            yield Fault(f"the digest of version {move.version} was changed, to {shown[:80]!a}", "accept")
        if card not in (None, named := version.tags.get(tags.DIGEST)):
            what = f"version {move.version} names another scorecard than was judged, {str(named)[:80]!a}"
            yield Fault(what, "accept")
        judged, named = move.digests.get(audit_record.FOLDER), version.tags.get(tags.FOLDER)
        if None not in (judged, named) and judged != named:
            what = f"version {move.version} names other files than were judged, {str(named)[:80]!a}"
            yield Fault(what, "accept")
        with versions.fetched(client, version):
            pass
        if move.digests.get(audit_record.FOLDER, found := versions.folder_digest(client, version)) != found:
            what = f"files beside the model of version {move.version} are not those that were judged, but {found[:12]}"
            yield Fault(what, "accept")
    except ModelError as error:
        yield Fault(error.clause(audit_log.REPAIR), "accept")
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        yield Fault(f"version {move.version} or its file is gone", "accept")
