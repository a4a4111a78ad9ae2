"""The files for a team's server say the same as the page about it, and name only what exists."""

import re
import shlex
from typing import Any

import click
import mlflow.environment_variables
import pytest
import yaml
from mlflow.cli import cli

from octavo.project.cli import octavo
from tests.architecture.source_tree import ROOT

DOCS = ROOT / "docs"
FILES = ("team.md", "compose.yaml", "kubernetes.yaml", "basic_auth.ini", "Dockerfile")
VARIABLE = re.compile(r"\b(?:OCTAVO|MLFLOW)_[A-Z][A-Z_]+\b")
SERVER = ["mlflow", "server"]


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(text("compose.yaml")))


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return [dict(each) for each in yaml.safe_load_all(text("kubernetes.yaml"))]


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "Deployment"]


def container(manifests: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(each for pod in pods(manifests) for each in pod["containers"] if each["name"] == name)


def commands_of_the_page() -> list[list[str]]:
    blocks = re.findall(r"```console\n(.*?)```", text("team.md"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


def test_all_start_the_same_server(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    (typed,) = [command for command in commands_of_the_page() if command[:2] == SERVER]
    assert typed == compose["services"]["mlflow"]["command"] == container(manifests, "mlflow")["command"]


def test_the_server_knows_its_options() -> None:
    server = cli.commands["server"]
    known = {option for parameter in server.params for option in parameter.opts}
    (typed,) = [command for command in commands_of_the_page() if command[:2] == SERVER]
    assert {option.partition("=")[0] for option in typed[2:]} <= known


def test_octavo_knows_the_commands_and_options(compose: dict[str, Any]) -> None:
    given = [compose["services"]["webhook"]["command"]]
    given += [command for command in commands_of_the_page() if command[0] == "octavo"]
    assert len(given) > 4
    for words in given:
        command, own = _resolved(words)
        options = {word.partition("=")[0] for word in own if word.startswith("--") and word != "--"}
        assert options <= {option for parameter in command.params for option in parameter.opts}, words


def test_all_give_the_server_the_same_settings(compose: dict[str, Any], manifests: list[dict[str, Any]]) -> None:
    composed = compose["services"]["mlflow"]["environment"]
    env = {each["name"]: each for each in container(manifests, "mlflow")["env"]}
    assert composed.keys() == env.keys()
    secret = {name for name, each in env.items() if "valueFrom" in each}
    assert secret == {name for name, value in composed.items() if value.startswith(f"${{{name}:?")}
    plain = {name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", composed[name]) for name in env.keys() - secret}
    assert plain == {name: each["value"] for name, each in env.items() if name not in secret}


def test_the_page_names_each_variable(compose: dict[str, Any]) -> None:
    settings = {name for service in compose["services"].values() for name in service["environment"]}
    page = text("team.md")
    assert {name for name in settings if not name.startswith("POSTGRES_") and name not in page} == set()


@pytest.mark.parametrize("name", FILES)
def test_each_variable_exists(name: str) -> None:
    own = "".join(
        path.read_text() for folder in ("pipeline", "mlflow_plugins") for path in (ROOT / folder).rglob("*.py")
    )
    known = {str(getattr(each, "name", "")) for each in vars(mlflow.environment_variables).values()}
    known |= {str(parameter.envvar) for parameter in cli.commands["server"].params}
    assert {found for found in VARIABLE.findall(text(name)) if found not in known and f'"{found}"' not in own} == set()


def test_nothing_runs_as_root_and_every_image_has_a_version(
    compose: dict[str, Any], manifests: list[dict[str, Any]]
) -> None:
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods(manifests))
    images = {each["image"] for pod in pods(manifests) for each in pod["containers"]}
    assert images == {service["image"] for service in compose["services"].values()}
    images |= set(re.findall(r"^FROM (\S+)", text("Dockerfile"), re.MULTILINE))
    assert all(re.search(r":\d", image) for image in images)
    assert "\nUSER 1000:1000\n" in text("Dockerfile")


def test_what_kubernetes_refers_to_is_there(manifests: list[dict[str, Any]]) -> None:
    claims = {each["metadata"]["name"] for each in manifests if each["kind"] == "PersistentVolumeClaim"}
    volumes = [volume for pod in pods(manifests) for volume in pod["volumes"]]
    assert {
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume
    } == claims
    labels = {str(each["spec"]["selector"]["matchLabels"]) for each in manifests if each["kind"] == "Deployment"}
    assert {str(each["spec"]["selector"]) for each in manifests if each["kind"] == "Service"} == labels
    for pod in pods(manifests):
        for each in pod["containers"]:
            assert {mount["name"] for mount in each["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def _resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that `words` call, and the words that are its own."""
    own = words[: words.index("--")] if "--" in words else words
    command: click.Command | None = octavo
    for place, word in enumerate(own[1:], 1):
        if not isinstance(command, click.Group):
            assert command is not None, words
            return command, own[place:]
        command = command.get_command(click.Context(command), word)
    assert command is not None, words
    return command, []
