"""The deployment target `octavo`: serves a registered model on this machine, in a process of its own.

    mlflow deployments create -t octavo -m models:/octavo@champion --name cam

It serves only versions that Octavo registered, and only with the bytes that were measured.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from click import ClickException
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from octavo.project.errors import ModelError, OctavoError
from octavo.project.params.section import faults
from octavo_mlflow.serving import create, process, request, server
from octavo_mlflow.serving.process import Serving
from octavo_mlflow.serving.record import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
HELP = """\
The target octavo serves a registered model on this machine, on loopback only, by a process that outlives the command.
Its target URI is octavo.

  mlflow deployments create  -t octavo -m models:/octavo@champion --name cam [-C port=5010] [-C threads=1]
  mlflow deployments update  -t octavo --name cam                   an alias is looked up again
  mlflow deployments predict -t octavo --name cam -I images.json    {"inputs": images}
  mlflow deployments get     -t octavo --name cam                   its address, and whether it runs
  mlflow deployments delete  -t octavo --name cam

A model is named by its number or by an alias, and must be registered by Octavo: its bytes are checked by their sha256.
The default of the setting port is 0, any free port; the default of threads is 1.

POST {"inputs": images, "params": {}} to <address>/invocations gives {"predictions": logits}. The params are dtype,
"uint8" for pixels in 0..255 or "float32", needed if the numbers are ambiguous, and classes, true for the names of the
best classes too. In a file for predict these two are beside inputs. Grey images are (N, H, W) or (N, H, W, 1).

A request has at most 64 MiB and two million numbers, or one image. A refused request gets a status of 4xx and a
sentence; 503 means that too many requests wait.

Deployments are stored in OCTAVO_DEPLOYMENTS, by default in the user's cache.
"""


class DeploymentError(MlflowException, ClickException):  # type: ignore[misc] # both keep the message as `message`
    """In Python an error of MLflow, on MLflow's command line one sentence."""


class OctavoDeployments(BaseDeploymentClient):
    """Deployments on this machine. `endpoint` is not supported."""

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: dict[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Serve `model_uri` as `name`, and return when it answers.

        Args:
            name: of the deployment; letters, digits, `_`, `.` and `-`, at most 64.
            model_uri: `models:/NAME/NUMBER` or `models:/NAME@ALIAS`.
            flavor: `onnx` or `litert`; None for the version's own.
            config: settings `port` and `threads`.
            endpoint: not supported.

        Raises:
            DeploymentError: the name is taken, or the model or a setting cannot be used.
        """
        with _told(), process.changing(_checked(name)):
            if process.find(name):
                raise ModelError(f"There is a deployment {name} already. Update it, delete it, or take another name.")
            process.remove_all(name)
            create.serve(name, model_uri, flavor, _settings(config))
            return self._described(name)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: dict[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Serve another model, or use other settings. The old process answers until the new one does.

        Args:
            name: of the deployment.
            model_uri: None for the one given before; an alias is looked up again.
            flavor: as in `create_deployment`.
            config: settings to change. The others stay, and so does a port that was chosen automatically.
            endpoint: not supported.

        Raises:
            DeploymentError: there is no such deployment, or as `create_deployment`. Then the old process keeps running.
        """
        with _told(), process.changing(_checked(name)):
            before = _found(name)
            kept = before.deployment.settings.model_dump() | {"port": before.port}
            create.serve(name, model_uri or before.deployment.model_uri, flavor, _settings(kept | (config or {})))
            return self._described(name)

    def delete_deployment(self, name: str, config: dict[str, Any] | None = None, endpoint: str | None = None) -> None:
        """End the process and delete its files. Does nothing if there is no such deployment.

        Args:
            name: of the deployment.
            config: not used.
            endpoint: not supported.

        Raises:
            DeploymentError: another process is changing it.
        """
        with _told(), process.changing(_checked(name)):
            process.remove_all(name)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """All deployments of this user, each as `get_deployment` describes it."""
        with _told():
            return [self._described(name) for name in process.names()]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Model, address and state of the deployment `name`.

        Raises:
            DeploymentError: there is no such deployment.
        """
        with _told():
            return self._described(_checked(name))

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Logits of images.

        Args:
            deployment_name: of the deployment.
            inputs: images (N, H, W) or (N, H, W, C) as an array, list or data frame; or a request, a dict with `inputs`
                and `params`.
            endpoint: not supported.

        Raises:
            DeploymentError: there is no such deployment, it does not run, or it refuses the images.
        """
        with _told():
            return PredictionsResponse(request.ask(_found(_checked(deployment_name or "")), inputs))

    @staticmethod
    def _described(name: str) -> dict[str, Any]:
        serving = _found(name)
        about = serving.deployment.model_dump(mode="json", exclude={"file", "dtype", "shape", "classes", "settings"})
        about |= {"version": about["version"].rpartition("/")[2], "version_uri": about["version"]}
        state = {"status": "running"} if serving.is_alive else {"status": "crashed", "last_words": serving.last_words}
        return {**about, "address": serving.address, "pid": serving.pid, **state, "folder": str(serving.folder)}


def run_local(name: str, model_uri: str, flavor: str | None = None, config: dict[str, Any] | None = None) -> None:
    """Serve a model in this process until it is interrupted. Other commands do not see it.

    Args:
        name: of the deployment.
        model_uri: `models:/NAME/NUMBER` or `models:/NAME@ALIAS`.
        flavor: `onnx` or `litert`; None for the version's own.
        config: settings `port` and `threads`.

    Raises:
        DeploymentError: as `OctavoDeployments.create_deployment`.
    """
    with _told(), TemporaryDirectory() as folder:
        create.prepare(Path(folder), _checked(name), model_uri, flavor, _settings(config))
        server.serve(Path(folder))


def target_help() -> str:
    """The text of `mlflow deployments help -t octavo`."""
    return HELP


def _settings(config: dict[str, Any] | None) -> Settings:
    try:
        return Settings.model_validate(config or {})
    except ValidationError as error:
        known = ", ".join(Settings.model_fields)
        raise ModelError(f"Settings of the target octavo: {faults(error)}. It knows: {known}.") from None


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ModelError(f"'{name}' cannot name a deployment: letters, digits, '_', '.' and '-', at most 64.")
    return name


def _found(name: str) -> Serving:
    serving = process.find(name)
    if serving is None:
        known = ", ".join(process.names()) or "none"
        raise ModelError(f"There is no deployment {name}. There are: {known}.")
    return serving


@contextmanager
def _told() -> Iterator[None]:
    """Raise every failure as MLflow expects it, with one sentence for its command line."""
    try:
        yield
    except OctavoError as error:
        raise DeploymentError(str(error)) from error
    except MlflowException as error:
        raise DeploymentError(error.message) from error
    except OSError as error:
        raise DeploymentError(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}.") from error
