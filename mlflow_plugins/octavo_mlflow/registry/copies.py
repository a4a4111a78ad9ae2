"""Copies of versions: MLflow's button "Promote model" copies a version with all its tags, also those of its promotion.

A copy has the files of its original, and its source is the original version instead of a logged model. Its tags are
not true for it: it was never compared with the champion of the model that it was copied to.
"""

from collections.abc import Iterator, Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.abstract_store import AbstractStore

from octavo.project.params.registry import Registry
from octavo.promotion import audit_record
from octavo.promotion.audit_record import Move
from octavo_mlflow.registry import aliases
from octavo_mlflow.registry import tags as registry_tags
from octavo_mlflow.registry.standing import State

CLAIMS = (aliases.RECORD, "promote.by", "promote.when", "promote.why", "rollback.by", "rollback.when", "rollback.why")
"""Tags by which a version says that it was made champion."""
DEEPEST = 10
"""How many copies of copies are followed."""


def source(version: ModelVersion) -> tuple[str, str] | None:
    """Name and number of the version that this one was copied from, or None if it is not a copy."""
    return parsed(version.source)


def parsed(source: object) -> tuple[str, str] | None:
    """Name and number of the version in a source `models:/name/number`, or None for any other source."""
    place, scheme, rest = str(source).partition("models:/")
    name, slash, number = rest.strip("/").rpartition("/")
    return (name, number) if scheme and slash and not place else None


def original(client: MlflowClient, version: ModelVersion) -> ModelVersion:
    """The version that this one was copied from; the version itself if it is not a copy or its original is gone."""
    for _ in range(DEEPEST):
        named = source(version)
        if named is None:
            return version
        try:
            version = client.get_model_version(*named)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return version
    return version


def within(client: MlflowClient, now: State) -> list[str]:
    """One clause for each copy among the model's own versions whose tags say that it was champion."""
    found = []
    for version in search(client, f"name = '{now.model}'"):
        named = source(version)
        if named is not None and _claims(version.tags):
            what = f"version {version.version} is a copy of version {named[1]} of {named[0]}"
            found.append(f"{what}, and was never champion, though it reads so")
    return found


def invented(client: MlflowClient, now: State, chain: Sequence[Move]) -> list[str]:
    """One clause for each version that is not a copy, says that it was champion, and was not according to the log.

    Args:
        client: of the tracking store.
        now: the registered model's present state.
        chain: its audit log.
    """
    made = audit_record.champions(chain)
    return [
        f"version {version.version} reads as if it had been champion, and by no record it was"
        for version in search(client, f"name = '{now.model}'")
        if source(version) is None and _claims(version.tags) and str(version.version) not in made
    ]


def elsewhere(client: MlflowClient, now: State) -> list[str]:
    """One clause for each copy in another model whose tags say that it was promoted there."""
    found = []
    for version in search(client, f"tag.`{aliases.RECORD}` LIKE '%'"):
        named = source(version)
        if version.name == now.model or named is None or named[0] != now.model:
            continue
        original = _tags(client, *named)
        same = original is None or original.get(registry_tags.DIGEST) == version.tags.get(registry_tags.DIGEST)
        found.append(
            f"version {version.version} of {version.name} is a copy of version {named[1]} of {now.model}"
            f"{'' if same else ' with other figures'}, and was not promoted there"
        )
    return sorted(found)


def strays(client: MlflowClient, chain: Sequence[Move], model: str, registry: Registry) -> list[str]:
    """One clause for each guarded alias that points at a version that was never champion.

    Args:
        client: of the tracking store.
        chain: the audit log of the model.
        model: name of the registered model.
        registry: its settings; they list the guarded aliases.
    """
    made = audit_record.champions(chain)
    there = client.get_registered_model(model).aliases
    found = {alias: str(there[alias]) for alias in registry.guarded_aliases if alias in there}
    return [
        f"the guarded alias {alias} points at version {version}, which never was champion"
        for alias, version in sorted(found.items())
        if version not in made
    ]


def _claims(tags: Mapping[str, str]) -> bool:
    return any(name in tags for name in CLAIMS)


def _tags(client: MlflowClient, name: str, number: str) -> Mapping[str, str] | None:
    try:
        return dict(client.get_model_version(name, number).tags)
    except MlflowException:
        return None


def search(registry: MlflowClient | AbstractStore, query: str) -> Iterator[ModelVersion]:
    """All versions that match the query, page by page."""
    token = None
    while True:
        page = registry.search_model_versions(query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
