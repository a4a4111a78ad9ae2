"""Make a deployment's next generation from a registered version: fetch, check, start, switch over."""

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from octavo.backends import model_files, registry
from octavo.project.errors import ModelError
from octavo.project.files import json_file
from octavo.reporting.documents import bundle
from octavo_mlflow.flavors.flavor import flavor_of
from octavo_mlflow.registry import tags, versions, vouched
from octavo_mlflow.serving import process
from octavo_mlflow.serving import record as serving_record
from octavo_mlflow.serving.record import Deployment, Settings

URI = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def serve(name: str, model_uri: str, flavor: str | None, settings: Settings) -> None:
    """Start a new generation, then switch to it. If it does not start, nothing has changed.

    Args:
        name: of the deployment.
        model_uri: `models:/NAME/NUMBER` or `models:/NAME@ALIAS`.
        flavor: `onnx` or `litert`; None for the version's own.
        settings: port and threads.

    Raises:
        ModelError: the port serves another deployment, the model cannot be served, or as `prepare`.
    """
    others = [other for other in map(process.find, process.names()) if other and other.deployment.name != name]
    if settings.port in {other.port for other in others if other.is_alive}:
        raise ModelError(f"Port {settings.port} serves another deployment. Take another, or 0 for any that is free.")
    folder = process.new_generation(name)
    try:
        prepare(folder, name, model_uri, flavor, settings)
        process.start(folder)
    except BaseException:
        process.remove(folder)
        raise
    process.switch(folder)


def prepare(folder: Path, name: str, model_uri: str, flavor: str | None, settings: Settings) -> None:
    """Put the model and the record of its deployment into `folder`.

    Args:
        folder: of the new generation; empty.
        name: of the deployment.
        model_uri: `models:/NAME/NUMBER` or `models:/NAME@ALIAS`.
        flavor: `onnx` or `litert`; None for the version's own.
        settings: port and threads.

    Raises:
        ModelError: `model_uri` names no version that Octavo registered, its files have changed, or it has another
            flavor.
        AuditFailed: another program changed the audit log or one of its aliases.
        MlflowException: the version does not exist.
    """
    client = MlflowClient()
    version, alias = _version(client, model_uri)
    with vouched.folder(client, version, alias) as place:
        path = place / versions.place(versions.model_file(version))
        own, card = registry.format_of(path).name, _scorecard(version, place)
        if flavor not in (None, own):
            raise ModelError(f"{model_uri} has the flavor {own}, not {flavor}.")
        (tensor,) = flavor_of(path).signature_of(path).inputs.inputs
        for part in model_files.parts(path):
            target = folder / part.relative_to(path.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(part, target)
    record = Deployment(
        name=name,
        model_uri=model_uri,
        version=f"models:/{version.name}/{version.version}",
        variant=versions.variant(version),
        flavor=own,
        file=path.name,
        sha256=versions.model_file(version).sha256,
        dtype=tensor.type.name,
        shape=tensor.shape,
        classes=list(card["quality"]["vs_baseline"]["per_class"]) if card else [],
        settings=settings,
    )
    serving_record.save(record, folder)


def _version(client: MlflowClient, model_uri: str) -> tuple[ModelVersion, str | None]:
    """The version that the URI names, and the alias in the URI."""
    named = URI.fullmatch(model_uri)
    if named is None:
        raise ModelError(f"{model_uri} names no registered version. Say models:/NAME/NUMBER or models:/NAME@ALIAS.")
    if named["alias"]:
        return client.get_model_version_by_alias(named["name"], named["alias"]), named["alias"]
    return client.get_model_version(named["name"], named["version"]), None


def _scorecard(version: ModelVersion, folder: Path) -> dict[str, Any] | None:
    """The scorecard in a version's folder, or None if there is none.

    Raises:
        Damaged: it differs from the one that was registered.
    """
    path = folder / bundle.SCORECARD
    if not path.exists():
        return None
    with suppress(json_file.Unreadable, KeyError, TypeError, AttributeError, ValueError):
        card = json_file.read(path)
        if tags.digest_of(card) == version.tags.get(tags.DIGEST):
            return dict(card)
    raise versions.Damaged(
        f"{bundle.SCORECARD} of version {version.version} of {version.name} is not the one that was registered. "
        "Take another version, or run dvc repro."
    )
