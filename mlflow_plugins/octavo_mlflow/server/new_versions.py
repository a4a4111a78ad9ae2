"""What a model's new versions may not bring along, on a server with the gate: promotions that never were.

A model is Octavo's from its first version that `dvc repro` registered. Copies of versions do not count: MLflow's button
makes them, in whatever model.
"""

from collections.abc import Iterator, Mapping

from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.promotion.audit_record import Move
from octavo_mlflow.registry import aliases, copies
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.registry.standing import HEAD, State

MARKS = (*copies.CLAIMS, aliases.ROLLED_BACK)
"""Tags of a version that say what happened to it."""


def is_ours(store: AbstractStore, now: State) -> bool:
    """Whether Octavo registered the model: it has an audit log, or a version with a scorecard's digest."""
    if HEAD in now.tags:
        return True
    if "'" in now.model:  # `in_adoption` lets none in
        return False
    found = copies.search(store, f"name = '{now.model}' and tag.`{registry_tags.DIGEST}` LIKE '%'")
    return any(copies.source(version) is None for version in found)


def in_version(store: AbstractStore, now: State, source: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Against a new version of that source, with these tags, a sentence each.

    Args:
        store: the server's registry.
        now: the model that it becomes a version of.
        source: where its files lie.
        tags: that it is made with.
    """
    copied, ours = copies.parsed(source), is_ours(store, now)
    if ours and copied:
        yield (
            f"Version {copied[1]} of {copied[0]} is not copied into {now.model}, whose versions come by dvc repro and "
            "are promoted by octavo promote alone."
        )
    if copied is None and (ours or registry_tags.DIGEST in tags):
        if marks := sorted(set(MARKS) & tags.keys()):
            yield f"A new version of {now.model} was never promoted: it is not made with the tag {', '.join(marks)}."
        yield from in_adoption(now, tags)


def in_adoption(now: State, tags: Mapping[str, str]) -> Iterator[str]:
    """Against a version that makes the model Octavo's, where somebody set aliases before, or no gate could find it."""
    if registry_tags.DIGEST not in tags:
        return
    if "'" in now.model:
        yield f"Octavo registers nothing in {now.model}: its searches could not name it."
    if now.aliases and HEAD not in now.tags:
        yield (
            f"Octavo registers nothing in {now.model} as long as {', '.join(sorted(now.aliases))} stands where no "
            "audit log put it. Delete that alias, then run dvc repro."
        )


def in_mark(chain: list[Move], version: str, key: str, value: str | None) -> Iterator[str]:
    """Against a tag that says what happened to a version, where the audit log does not say so.

    Args:
        chain: the audit log.
        version: the number of the version.
        key: the tag, one of `MARKS`.
        value: what it says; None where it is to be deleted.
    """
    said: dict[str, set[str]] = {}
    for move in chain:
        known = aliases.tags(move) if move.number == version else {}
        if move.action == "rollback" and move.before.get("champion") == version:
            known = {**known, aliases.ROLLED_BACK: f"{move.when} by {move.who}"}
        for name, text in known.items():
            said.setdefault(name, set()).add(text)
    if (value is None and key in said) or (value is not None and value not in said.get(key, ())):
        yield (
            f"The tag {key} of version {version} says what happened to it, and by the audit log that is "
            f"{'so' if value is None else 'not so'}: octavo sets it."
        )
