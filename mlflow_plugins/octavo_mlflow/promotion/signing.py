"""`octavo sign` and `octavo verify`: prove that a version is what was signed, and by whom, without trust in MLflow.

The signature covers the whole folder of the version's model as MLflow hands it out: model file, scorecard, model card,
bill of materials, and the code that loads it. It is stored in that folder, so it goes wherever the version goes.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from octavo.project.errors import KeyUnusable, ModelError, SignatureInvalid
from octavo.project.files import json_file
from octavo.project.params.params import load_params
from octavo.reporting.documents import bundle, signature
from octavo_mlflow.registry import standing, tags, versions, vouched
from octavo_mlflow.registry.standing import CHAMPION
from octavo_mlflow.tracking import connection

PASSWORD = "OCTAVO_SIGNING_PASSWORD"  # noqa: S105 - the name of the variable
SIGNED_BY, SIGNED_WHEN = "signed.by", "signed.when"
"""Tags of a version, for people to read. Only the signature itself proves anything."""


def sign(version: str | None, key: Path | None) -> None:
    """Do what `octavo sign` asks for, and print it."""
    if key is None:
        raise KeyUnusable(f"No private key. Give --key PATH, or set OCTAVO_SIGNING_KEY. {signature.MAKE_ONE}")
    model = load_params().registry.model
    with connection.connected(existing=True) as client:
        found = _version(client, model, version)
        name, model_id = _name(found), versions.model_id(found)
        move = vouched.promotion(client, found, CHAMPION if version is None else None)
        with versions.folder(client, found) as folder:
            if faults := [*_faults(found, folder)]:
                raise ModelError(f"{name} is not signed: {'; '.join(faults)}.")
            vouched.check(folder, found, move)
            signer = signature.sign(folder, key, os.environ.get(PASSWORD))
            client.log_model_artifact(model_id, str(folder / signature.FILE))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for tag, value in {SIGNED_BY: signer, SIGNED_WHEN: now}.items():
            client.set_model_version_tag(found.name, found.version, tag, value)
    click.echo(f"{name} is signed with the key {signer}")


def verify(version: str | None, key: Path | None, model: str | None) -> None:
    """Do what `octavo verify` asks for, and print it.

    Args:
        version: to verify; None for the champion.
        key: file of the public key.
        model: name of the registered model; None for that of `params.yaml`.

    Raises:
        KeyUnusable: there is no key, or it cannot be read.
        ModelError: the version does not exist or has no signature.
        SignatureInvalid: the version is not what was signed.
    """
    if key is None:
        raise KeyUnusable("No public key. Give --key PATH, or set OCTAVO_VERIFYING_KEY.")
    model = model or load_params().registry.model
    with connection.connected(existing=True) as client:
        found = _version(client, model, version)
        name = _name(found)
        move = vouched.promotion(client, found, CHAMPION if version is None else None)
        with versions.folder(client, found) as folder:
            if not (folder / signature.FILE).exists() and SIGNED_BY not in found.tags:
                raise ModelError(f"{name} has no signature. Sign it: octavo sign {found.version}.")
            try:
                signer = signature.verify(folder, key)
            except (SignatureInvalid, ModelError) as error:
                raise SignatureInvalid(f"{name} is not what was signed: {error}.") from None
            if faults := [*_faults(found, folder)]:
                raise SignatureInvalid(f"{name} is signed, but not as this version: {'; '.join(faults)}.")
            vouched.check(folder, found, move)
    click.echo(f"{name} is what was signed with the key {signer}")


def _version(client: MlflowClient, model: str, number: str | None) -> ModelVersion:
    try:
        number = number or standing.state(client, model).champion
        if number is None:
            raise ModelError(f"{model} has no champion yet. Name a version, or promote one: octavo promote.")
        return client.get_model_version(model, number)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ModelError(f"{model} has no version {number or 'in MLflow'}. See octavo status.") from None


def _name(version: ModelVersion) -> str:
    return f"Version {version.version} of {version.name} ({versions.variant(version)})"


def _faults(version: ModelVersion, folder: Path) -> Iterator[str]:
    """What is missing in a version's folder, or belongs to another version."""
    for name in bundle.NAMES:
        if not (folder / name).is_file():
            yield f"it has no {name}; versions of earlier releases of Octavo have none"
    model = versions.model_file(version)
    try:
        versions.check(folder / versions.place(model), model, versions.place(model))
    except (ModelError, OSError):
        yield f"{versions.place(model)} is not the file that was measured"
    if _digest(folder) != version.tags.get(tags.DIGEST):
        yield f"{bundle.SCORECARD} is not the one that was registered"
    if versions.logged_as(folder) != versions.model_id(version):
        yield "its MLmodel is that of another model"


def _digest(folder: Path) -> str | None:
    try:
        return tags.digest_of(json_file.read(folder / bundle.SCORECARD))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
