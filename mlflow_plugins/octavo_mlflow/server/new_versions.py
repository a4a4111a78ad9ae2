"""What new versions may not bring to a server with the gate: tags of promotions that never happened.

A model is Octavo's from the first version that `dvc repro` registered. Copied versions do not count, because MLflow's
button can copy a version into any model.
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
    if "'" in now.model:  # `in_adoption` refuses such names
        return False
    found = copies.search(store, f"name = '{now.model}' and tag.`{registry_tags.DIGEST}` LIKE '%'")
    return any(copies.source(version) is None for version in found)


def in_version(store: AbstractStore, now: State, source: str, tags: Mapping[str, str]) -> Iterator[str]:
    """Reasons against a new version, one sentence each.

    Args:
        store: the server's registry.
        now: the model that gets the version.
        source: where the version's files are.
        tags: of the new version.
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
    """Reasons against the version that makes the model Octavo's: aliases without a log, or a name that no search can
    quote.
    """
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
    """Reasons against a tag that says what happened to a version, if the audit log says otherwise.

    Args:
        chain: the audit log.
        version: the number of the version.
        key: the tag, one of `MARKS`.
        value: its new value; None to delete it.
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
