"""What the server holds to where a promotion needs approvals: names are those that it authenticated itself.

Each function yields what speaks against a write, a sentence each, and nothing where it may be made. An administrator is
no exception.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from octavo.promotion.audit_record import Move
from octavo_mlflow.registry import consent
from octavo_mlflow.registry.standing import ANCHOR, APPROVED, DONE, HEAD, LOG, REQUEST, State

Sender = Callable[[], str | None]
"""Who sends the request that is being answered; None where nobody is asked who they are."""
OURS = (HEAD, DONE, LOG, REQUEST, APPROVED)
"""Tags of a registered model that its audit log rests on."""
NOBODY = "This server knows nobody by name, so nobody can ask for a promotion or approve one: see docs/team.md."


def in_names(keys: Iterable[str], is_new: bool) -> Iterator[str]:
    """Against tags that a new model is born with, and names that some databases take for one of ours."""
    for key in keys:
        letters = unicodedata.normalize("NFKD", key).casefold()
        plain = "".join(letter for letter in letters if letter.isascii() and letter.isprintable()).strip()
        if plain in OURS and (is_new or key not in OURS):
            yield f"The tag {key!a} is not set so: Octavo alone writes it, step by step."


def in_request(now: State, asked: Move, sender: str | None) -> Iterator[str]:
    """Against `asked` becoming the open request."""
    if sender is None:
        yield NOBODY
        return
    if asked.who != sender:
        yield f"The request says that {asked.who!a} asks for it, and you are {sender!a}: ask in your own name."
    if asked.action != "promote" or asked.request or asked.approved:
        yield "A request asks for a promotion that nobody approved yet."
    if unnamed := consent.NAMED - asked.digests.keys():
        yield f"The request names no digest of its {', '.join(sorted(unnamed))}."
    if APPROVED in now.tags:
        yield f"{now.model} has an approved request. Withdraw that first: octavo approve --withdraw."


def in_approval(now: State, asked: Move, value: str, sender: str | None) -> Iterator[str]:
    """Against `audit.approved` becoming `value`, `asked` being the open request."""
    if sender is None:
        yield NOBODY
        return
    by = consent.approvers(now, asked.hash)
    if asked.who == sender:
        yield f"You asked for this promotion, {sender!a}: somebody else has to approve it."
    elif sender in by:
        yield f"You approved it before, {sender!a}: somebody else has to as well."
    elif consent.parsed(value) != (asked.hash, (*by, sender)):
        yield f"An approval adds your own name, {sender!a}, to those who approved the open request, and nothing else."


def in_move(now: State, move: Move, asked: Move | None, sender: str | None, needed: int) -> Iterator[str]:
    """Against `move` being recorded: by the wrong name, or without the approvals that it needs.

    Args:
        now: where the model stands.
        move: the record that comes next.
        asked: what the record says that was approved; None where it names no request.
        sender: who sends it.
        needed: how many approvals a promotion needs.
    """
    if asked is None:
        if sender is not None and move.who != sender:
            yield f"Record {move.sequence} says that {move.who!a} made it, and you are {sender!a}."
        if move.approved or move.request:
            yield f"Record {move.sequence} names a request that is not open."
        if needed and move.action == "promote":
            yield NOBODY if sender is None else f"A promotion needs {needed} approvals: octavo promote asks for them."
        return
    by = consent.approvers(now, asked.hash)
    if sender is None:
        yield NOBODY
    if consent.asked(now) != (asked.sequence, asked.hash) or not consent.is_of(move, asked):
        yield f"Record {move.sequence} is not what was asked for, or what is asked for now."
    if move.approved != by or asked.who in by or len(set(by)) < max(needed, 1):
        yield f"{len(by)} approved it of {max(needed, 1)} who have to: octavo approve."


def in_way_round(move: Move, chain: Sequence[Move]) -> Iterator[str]:
    """Against a move that needs no approval, and would bring into service what nobody ever approved.

    Args:
        move: the record that comes next.
        chain: those before it.
    """
    if move.action == "rollback":
        was = (each for each in chain if each.action != "repair" and each.version == move.version)
        if not any(each.digests.get("model") == move.digests.get("model") for each in was):
            yield (
                f"Version {move.version} was never champion, and here a promotion needs approvals: "
                "octavo promote VARIANT --force asks for them."
            )
        if move.after.get(ANCHOR) != move.before.get(ANCHOR):
            yield "A rollback leaves the anchor where it is."
    if move.action == "repair":
        for alias, version in move.after.items():
            known = {move.before.get(alias), *(each.after.get(alias) for each in chain)}
            if version not in known:
                yield f"A repair puts the {alias} back to where the audit log had it, and that is not {version}."
