"""From an address in the registry to one version."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException

from octavo.project.errors import ModelError, did_you_mean, known_are
from octavo.project.params.registry_uri import RegistryUri
from octavo_mlflow.tracking import connection

MOST, LISTED = 1000, 20
"""Number of models among which a similar name is looked for, and up to which all are listed."""


def require_store() -> None:
    """Check that there is an MLflow to ask. A local database that does not exist has no models.

    Raises:
        ModelError: there is none.
    """
    connection.take_night_settings()
    store = connection.uri()
    if store.startswith(connection.SQLITE) and not Path(store.removeprefix(connection.SQLITE)).exists():
        raise ModelError(
            f"There is no MLflow at {connection.public()} yet. Set MLFLOW_TRACKING_URI to the server with the model."
        )


def resolved(client: MlflowClient, uri: RegistryUri) -> int:
    """The number of the version that an address names now.

    Raises:
        ModelError: there is no such model or alias.
    """
    if uri.version is not None:
        return uri.version
    found = _model(client, uri.model).aliases
    if uri.alias not in found:
        raise ModelError(
            f"{uri}: model '{uri.model}' has no alias '{uri.alias}' in MLflow at {connection.public()}."
            f"{known_are(str(uri.alias), sorted(found))}. Set it, or name a version."
        )
    return int(found[uri.alias])


def version_of(client: MlflowClient, model: str, number: int, pinned: str | None) -> ModelVersion:
    """A version by its number.

    Args:
        client: of the tracking store.
        model: name of the registered model.
        number: of the version.
        pinned: name of the network that is pinned to it, for the message; None if none is.

    Raises:
        ModelError: there is no such model or version.
    """
    _model(client, model)
    try:
        return client.get_model_version(model, str(number))
    except MlflowException as error:
        if error.error_code != connection.MISSING:
            raise
    todo = f"Restore its file, or move on: octavo pin --update {pinned}." if pinned else "Name another version."
    raise ModelError(f"Version {number} of model '{model}' is not in MLflow at {connection.public()}. {todo}")


def _model(client: MlflowClient, name: str) -> RegisteredModel:
    if (found := connection.registered_model(client, name)) is not None:
        return found
    known = sorted(each.name for each in client.search_registered_models(max_results=MOST))
    listed = f"{known_are(name, known)}." if len(known) <= LISTED else did_you_mean(name, known)
    raise ModelError(
        f"MLflow at {connection.public()} has no registered model '{name}'.{listed} Correct the uri, or set "
        "MLFLOW_TRACKING_URI to another server."
    )
