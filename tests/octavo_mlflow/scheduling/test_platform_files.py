"""The files for Kubernetes, GitHub Actions and Airflow: well-formed, and set as a night needs it."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from octavo_mlflow.scheduling.command import schedule
from tests.architecture.source_tree import ROOT

Print = Callable[..., str]
BERLIN = ("--at", "02:30", "--zone", "Europe/Berlin")


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Print:
    """What `octavo schedule install --print` prints in a project."""
    project = tmp_path / "50% of Ada's digits"
    project.mkdir()
    (project / "params.yaml").touch()
    monkeypatch.chdir(project)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(schedule, ["install", *arguments], catch_exceptions=False).stdout

    return run


def test_kubernetes_runs_one_night_at_a_time_in_its_zone(printed: Print) -> None:
    claim, job = yaml.safe_load_all(printed("--print", "kubernetes", *BERLIN))
    spec = job["spec"]
    assert (claim["kind"], job["kind"]) == ("PersistentVolumeClaim", "CronJob")
    assert (spec["schedule"], spec["timeZone"]) == ("30 2,3 * * *", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (night,) = pod["containers"]
    assert night["command"][-1].endswith('octavo nightly --due "02:30 Europe/Berlin"')
    assert pod["restartPolicy"] == "Never"
    assert {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "emptyDir" not in volume} == {
        claim["metadata"]["name"]
    }
    assert {mount["name"] for mount in night["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert {variable["name"] for variable in night["env"] if "valueFrom" in variable} == {
        f"MLFLOW_TRACKING_{name}" for name in ("URI", "USERNAME", "PASSWORD")
    }
    assert night["resources"]["requests"].keys() == {"cpu", "memory"}


def test_kubernetes_gets_a_name_that_it_allows(printed: Print) -> None:
    names = {part["metadata"]["name"] for part in yaml.safe_load_all(printed("--print", "kubernetes"))}
    assert names == {"octavo-50-of-ada-s-digits"}


def workflow(text: str) -> dict[Any, Any]:
    return yaml.safe_load(text)


def test_github_wakes_up_at_each_offset_and_may_only_read(printed: Print) -> None:
    night = workflow(printed("--print", "github", *BERLIN))
    assert night[True]["schedule"] == [{"cron": "30 0,1 * * *"}]  # YAML 1.1 reads `on` as true
    assert night["permissions"] == {"contents": "read"}
    assert not night["concurrency"]["cancel-in-progress"]
    (job,) = night["jobs"].values()
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(action.startswith("actions/") and action.split("@v")[1].isdigit() for action in actions)
    (run,) = [step["run"] for step in job["steps"] if "octavo nightly" in step.get("run", "")]
    assert """github.event_name == 'schedule' && '--due "02:30 Europe/Berlin"' || ''""" in run


def test_github_keeps_what_it_restores(printed: Print) -> None:
    (job,) = workflow(printed("--print", "github"))["jobs"].values()
    steps = {step["uses"].partition("@")[0]: step["with"] for step in job["steps"] if "with" in step}
    restored, saved = steps["actions/cache/restore"], steps["actions/cache/save"]
    assert (restored["path"], restored["key"]) == (saved["path"], saved["key"])
    assert {".dvc/cache", "reports"} <= set(saved["path"].split())


def test_airflow_runs_one_night_at_a_time_in_its_zone(printed: Print) -> None:
    calls = {
        node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func): node
        for node in ast.walk(ast.parse(printed("--print", "airflow", *BERLIN)))
        if isinstance(node, ast.Call)
    }
    dag, night, start = (
        {keyword.arg: keyword.value for keyword in calls[name].keywords}
        for name in ("DAG", "BashOperator", "pendulum.datetime")
    )
    assert ast.literal_eval(start["tz"]) == "Europe/Berlin"
    settings = {name: ast.literal_eval(dag[name]) for name in ("dag_id", "schedule", "catchup", "max_active_runs")}
    assert settings == {
        "dag_id": "octavo-50-of-ada-s-digits",
        "schedule": "30 2 * * *",
        "catchup": False,
        "max_active_runs": 1,
    }
    assert ast.literal_eval(night["cwd"]) == str(Path.cwd())
    assert ast.literal_eval(night["bash_command"]).endswith("octavo nightly")
    assert ast.literal_eval(night["retries"]) == 0


@pytest.mark.parametrize("platform", ["kubernetes", "github", "airflow"])
def test_no_line_is_left_unfilled_and_the_same_night_gives_the_same_bytes(printed: Print, platform: str) -> None:
    text = printed("--print", platform, *BERLIN)
    assert text == printed("--print", platform, *BERLIN)
    assert "[[" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_projects_own_workflow_is_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = ["install", "--at", "02:30", "--zone", "UTC", "--print", "github"]
    own = (ROOT / ".github/workflows/nightly.yml").read_text(encoding="utf-8")
    assert own == CliRunner().invoke(schedule, command, catch_exceptions=False).stdout, (
        f"Run octavo schedule {command}."
    )
