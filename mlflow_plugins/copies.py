"""Copies of versions: MLflow's button "Promote model" copies one with all its tags, those of its promotion too.

A copy has its original's files, and is of the original, not of a logged model. What it says of itself is not so: it was
never judged against the models that are in service where it is.
"""

from collections.abc import Iterator, Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mlflow_plugins import aliases, terms
from mlflow_plugins.standing import State
from pipeline.moves import Move

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


def within(client: MlflowClient, now: State, chain: Sequence[Move]) -> Iterator[str]:
    """Versions of the model that say they were made champion, and were not, a clause each."""
    made = {move.version for move in chain if move.action != "repair"}
    for version in _all(client, f"name = '{now.model}'"):
        if str(version.version) not in made and _claims(version.tags):
            named = source(version)
            what = f"is a copy of version {named[1]} of {named[0]}" if named else "has tags of a promotion"
            yield f"version {version.version} {what}, and reads as if it had been champion, which no record says"


def elsewhere(client: MlflowClient, now: State) -> list[str]:
    """Copies of the model's versions in other models that read as if they had been promoted there, a clause each."""
    found = []
    for version in _all(client, f"tag.`{aliases.RECORD}` LIKE '%'"):
        named = source(version)
        if version.name == now.model or named is None or named[0] != now.model:
            continue
        original = _tags(client, *named)
        same = original is None or original.get(terms.DIGEST) == version.tags.get(terms.DIGEST)
        found.append(
            f"version {version.version} of {version.name} is a copy of version {named[1]} of {now.model}"
            f"{'' if same else ' with other figures'}, and was not promoted there"
        )
    return sorted(found)


def _claims(tags: Mapping[str, str]) -> bool:
    return any(name in tags for name in CLAIMS)


def _tags(client: MlflowClient, name: str, number: str) -> Mapping[str, str] | None:
    try:
        return dict(client.get_model_version(name, number).tags)
    except MlflowException:
        return None


def _all(client: MlflowClient, query: str) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = client.search_model_versions(query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
