"""Judge a recorded promotion by the server's policy instead of the promoter's."""

import hashlib
from collections.abc import Iterator, Mapping

from octavo.project.errors import OctavoError
from octavo.project.files import json_file
from octavo.project.params.policy import Policy
from octavo.promotion.audit_record import Move
from octavo.promotion.contradictions import joined
from octavo.promotion.evidence import Grounds, faults, judge
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.registry.standing import ANCHOR, CHAMPION


def objections(move: Move, text: str, tags: Mapping[str, str], policy: Policy) -> Iterator[str]:
    """Reasons against a promotion, one clause each; none if the variant passes.

    Args:
        move: the record.
        text: the recorded grounds, JSON of `Grounds`.
        tags: of the version that becomes champion.
        policy: the server's policy, used instead of the recorded one.
    """
    if hashlib.sha256(text.encode()).hexdigest() != move.digests.get("grounds"):
        yield "what it was judged by is not what the record names"
        return
    try:
        grounds = _of_two(json_file.parse_record(text, Grounds))
        if found := list(faults(grounds)):
            yield f"its figures contradict each other: {joined(found)}"
            return
        verdict = judge(grounds.model_copy(update={"policy": policy}))
        yield from _in_tags(move, grounds, tags)
    except json_file.Unreadable as error:
        yield f"what it was judged by cannot be read by this release of Octavo ({error})"
        return
    except OctavoError as error:
        yield str(error).rstrip(".")
        return
    held = grounds.beside.keys() | grounds.not_compared.keys() | grounds.damaged.keys()
    yield from (f"it was not compared with the {alias}" for alias in sorted(_beside(move) - held))
    yield from map(str, verdict.unmet)
    if verdict.verdict != "pass" and not verdict.unmet:
        yield "it is the baseline, which has no verdict"


def _of_two(grounds: Grounds) -> Grounds:
    """The grounds without the other variants. They do not influence the verdict, and judging them takes time."""
    cards = [grounds.scorecards.card(name) for name in dict.fromkeys((grounds.baseline, grounds.variant))]
    scorecards = grounds.scorecards.model_copy(update={"scorecards": cards})
    return grounds.model_copy(update={"scorecards": scorecards})


def _in_tags(move: Move, grounds: Grounds, tags: Mapping[str, str]) -> Iterator[str]:
    """Where the version's tags show other figures or bytes than were judged."""
    card = grounds.scorecards.card(grounds.variant)
    others = sorted(name for name, value in registry_tags.version_tags(card).items() if tags.get(name) != value)
    if others:
        yield f"version {move.version} shows another {', '.join(others)} than was judged"
    if (card.variant, card.model.sha256) != (move.variant, move.digests.get("model")):
        yield "the record names another model"
    made_of = {"data": card.lineage.data, "params": card.lineage.params, "scorecard": registry_tags.digest(card)}
    if others := [name for name, digest in made_of.items() if move.digests.get(name, digest) != digest]:
        yield f"the record names other {' and '.join(others)}"


def _beside(move: Move) -> set[str]:
    """The aliases that it had to be compared with: `champion`, and `anchor` if that is a third version."""
    found: dict[str, str] = {}
    for alias in (CHAMPION, ANCHOR):
        number = move.before.get(alias)
        if number is not None and number not in (move.version, *found.values()):
            found[alias] = number
    return set(found)
