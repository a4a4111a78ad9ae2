"""What the server requires if promotions need approvals. All names are those of users whom it authenticated itself.

Each function yields the reasons against a write, one sentence each, and nothing if the write is allowed. Administrators
are no exception.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

from octavo.promotion.audit_record import Move
from octavo_mlflow.registry import consent
from octavo_mlflow.registry.standing import ANCHOR, APPROVED, DONE, HEAD, LOG, REQUEST, State

Sender = Callable[[], str | None]
"""The user who sends the current request; None if the server has no user accounts."""
OURS = (HEAD, DONE, LOG, REQUEST, APPROVED)
"""Tags of a registered model that its audit log depends on."""
NOBODY = "This server has no user accounts, so nobody can ask for a promotion or approve one: see docs/team.md."


def in_names(keys: Iterable[str], is_new: bool) -> Iterator[str]:
    """Reasons against tags of a new model, and against names that some databases take for one of Octavo's tags."""
    for key in keys:
        letters = unicodedata.normalize("NFKD", key).casefold()
        plain = "".join(letter for letter in letters if letter.isascii() and letter.isprintable()).strip()
        if plain in OURS and (is_new or key not in OURS):
            yield f"The tag {key!a} is not set: only Octavo writes it, step by step."


def in_request(now: State, asked: Move, sender: str | None) -> Iterator[str]:
    """Reasons against `asked` as the open request.

    Args:
        now: the registered model's present state.
        asked: the requested record.
        sender: the user who sends it.
    """
    if sender is None:
        yield NOBODY
        return
    if asked.who != sender:
        yield f"The request says that {asked.who!a} asks for it, but you are {sender!a}: ask in your own name."
    if asked.action != "promote" or asked.request or asked.approved:
        yield "A request must ask for a promotion that nobody has approved yet."
    if unnamed := consent.NAMED - asked.digests.keys():
        yield f"The request names no digest of its {', '.join(sorted(unnamed))}."
    if APPROVED in now.tags:
        yield f"{now.model} has an approved request. Withdraw that first: octavo approve --withdraw."


def in_approval(now: State, asked: Move, value: str, sender: str | None) -> Iterator[str]:
    """Reasons against a new value of `audit.approved`.

    Args:
        now: the registered model's present state.
        asked: the record of the open request.
        value: the new value of the tag.
        sender: the user who sends it.
    """
    if sender is None:
        yield NOBODY
        return
    by = consent.approvers(now, asked.hash)
    if asked.who == sender:
        yield f"You asked for this promotion, {sender!a}: somebody else has to approve it."
    elif sender in by:
        yield f"You already approved it, {sender!a}: somebody else has to approve it too."
    elif consent.parsed(value) != (asked.hash, (*by, sender)):
        yield f"An approval adds your own name, {sender!a}, to those who approved the open request, and nothing else."


def in_move(now: State, move: Move, asked: Move | None, sender: str | None, needed: int) -> Iterator[str]:
    """Reasons against the record of a move: a wrong name, or missing approvals.

    Args:
        now: the registered model's present state.
        move: the next record.
        asked: the requested record that it names as approved; None if it names none.
        sender: the user who sends it.
        needed: how many approvals a promotion needs.
    """
    if asked is None:
        if sender is not None and move.who != sender:
            yield f"Record {move.sequence} says that {move.who!a} made it, but you are {sender!a}."
        if move.approved or move.request:
            yield f"Record {move.sequence} names a request that is not open."
        if needed and move.action == "promote":
            yield NOBODY if sender is None else f"A promotion needs {needed} approvals: octavo promote asks for them."
        return
    by = consent.approvers(now, asked.hash)
    if sender is None:
        yield NOBODY
    if consent.asked(now) != (asked.sequence, asked.hash) or not consent.is_of(move, asked):
        yield f"Record {move.sequence} is not the open request."
    if move.approved != by or asked.who in by or len(set(by)) < max(needed, 1):
        yield f"It has {len(by)} of {max(needed, 1)} approvals: octavo approve."


def in_way_round(move: Move, chain: Sequence[Move]) -> Iterator[str]:
    """Reasons against a move that needs no approval and would bring an unapproved version into service.

    Args:
        move: the next record.
        chain: the records before it.
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
                yield f"A repair returns the {alias} to where the audit log had it, which is not version {version}."
