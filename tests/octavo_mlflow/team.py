"""Projects on shared servers, and the people who work there."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import yaml

from octavo.project.params.params import load_params
from octavo_mlflow.registry.standing import HEAD
from tests import servers
from tests.octavo_mlflow.measured_project import Project

ROOT = Path(__file__).parents[2]


@contextmanager
def gated(app: str, database: str, folder: Path, **settings: str) -> Iterator[str]:
    """A server with that app of Octavo's, which guards the alias `production`, too; its address.

    It reads this repository's params.yaml, and has these settings in its environment.
    """
    params = folder / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    assert text.count("registry:\n") == 1
    params.write_text(text.replace("registry:\n", "registry:\n  guarded_aliases: [production]\n"))
    with ExitStack() as running:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {"OCTAVO_POLICY": str(params), **settings}.items():
                environment.setenv(name, value)
            address = running.enter_context(servers.tracking(database, folder, "--app-name", app))
        yield address


def share(project: Project, address: str) -> str:
    """Let the project use the server at `address`, under names of its own; its registered model."""
    model = f"model-{uuid4().hex[:8]}"
    params = Path("params.yaml")
    text = params.read_text()
    for line in ("experiment: octavo", "model: octavo"):
        assert text.count(line) == 1
        text = text.replace(line, line.replace("octavo", model))
    params.write_text(text)
    project.params = load_params()
    os.environ["MLFLOW_TRACKING_URI"] = address
    return model


def as_owner(project: Project, team: "Team") -> None:
    """Let a new user of the team register the project, and thereby manage the model, the experiment and the log."""
    team.become(team.add())
    share(project, team.address)
    project.register()


def standing(project: Project) -> dict[str, str]:
    """Alias -> version."""
    found = project.client().get_registered_model(project.params.registry.model)
    return {alias: str(version) for alias, version in found.aliases.items()}


def tag(project: Project) -> str | None:
    """What names the last record of the audit log."""
    return project.client().get_registered_model(project.params.registry.model).tags.get(HEAD)


def change_policy(**limits: float) -> None:
    """Change the project's own policy, of which the server knows nothing."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(params | {"policy": params["policy"] | limits}))


def password(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()


@dataclass(frozen=True)
class Team:
    """The users of a server, each with READ on everything unless told otherwise."""

    address: str

    def become(self, user: str) -> None:
        """Use the server as that user, for the rest of the test."""
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = user, password(user)

    def add(self) -> str:
        """A new user."""
        user = f"user-{uuid4().hex[:8]}"
        self._ask("POST", "2.0/mlflow/users/create", {"username": user, "password": password(user)})
        return user

    def grant(self, user: str, permission: str, *names: str) -> None:
        """A permission on the registered models and the experiments that have one of these names."""
        for name in names:
            for kind, found in self._resources(name):
                granted = {"username": user, "resource_type": kind, "resource_id": found, "permission": permission}
                self._ask("POST", "3.0/mlflow/users/permissions/grant", granted)

    def _resources(self, name: str) -> Iterator[tuple[str, str]]:
        models = self._ask("GET", "2.0/mlflow/registered-models/search", {"filter": f"name = '{name}'"})
        yield from (("registered_model", model["name"]) for model in models.get("registered_models", []))
        query = {"filter": f"name = '{name}'", "max_results": 9}
        experiments = self._ask("POST", "2.0/mlflow/experiments/search", query)
        yield from (("experiment", each["experiment_id"]) for each in experiments.get("experiments", []))

    def _ask(self, method: str, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """As the administrator."""
        how = {"params": content} if method == "GET" else {"json": content}
        who = ("admin", password("admin"))
        answer = requests.request(method, f"{self.address}/api/{path}", auth=who, timeout=60, **how)  # type: ignore[arg-type]
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}
