"""Copies of versions: MLflow's button "Promote model" copies one with all its tags, those of its promotion too.

A copy has its original's files, and is of the original, not of a logged model. What it says of itself is not so: it was
never judged against the models that are in service where it is.
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
"""Copies of copies that are followed."""


def source(version: ModelVersion) -> tuple[str, str] | None:
    """Name and number of the version that this one is a copy of; None for one that is none."""
    return parsed(version.source)


def parsed(source: object) -> tuple[str, str] | None:
    """Name and number of the version that a source of the form `models:/name/number` names; None for any other."""
    place, scheme, rest = str(source).partition("models:/")
    name, slash, number = rest.strip("/").rpartition("/")
    return (name, number) if scheme and slash and not place else None


def original(client: MlflowClient, version: ModelVersion) -> ModelVersion:
    """The version that this one is a copy of, itself where it is none, or where that is gone."""
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
    """Copies among the model's own versions that read as if they had been champion, a clause each."""
    found = []
    for version in search(client, f"name = '{now.model}'"):
        named = source(version)
        if named is not None and _claims(version.tags):
            what = f"version {version.version} is a copy of version {named[1]} of {named[0]}"
            found.append(f"{what}, and was never champion, though it reads so")
    return found


def invented(client: MlflowClient, now: State, chain: Sequence[Move]) -> list[str]:
    """Versions that are no copies and read as if they had been champion, which the log does not say, a clause each."""
    made = audit_record.champions(chain)
    return [
        f"version {version.version} reads as if it had been champion, and by no record it was"
        for version in search(client, f"name = '{now.model}'")
        if source(version) is None and _claims(version.tags) and str(version.version) not in made
    ]


def elsewhere(client: MlflowClient, now: State) -> list[str]:
    """Copies of the model's versions in other models that read as if they had been promoted there, a clause each."""
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
    """Guarded aliases that point at versions which never were champion, a clause each."""
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
    """All versions that the query finds, page after page."""
    token = None
    while True:
        page = registry.search_model_versions(query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
