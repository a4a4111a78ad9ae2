"""`octavo upgrade` renews what Octavo wrote, keeps what the user added, and shows both."""

from pathlib import Path

import pytest
import yaml

from octavo.project.errors import OctavoError
from octavo.project.setting_up import shipped
from tests.octavo.project.setting_up.conftest import Run, files

OWN = """
  # fetch the pictures
  fetch:
    cmd: python fetch.py # every night
    outs: [pictures]
"""


@pytest.fixture
def project(with_dvc: Path, run: Run) -> Path:
    """A project whose pipeline is of an earlier version: a stage's words differ, and one stage is gone today."""
    assert run("init", "--yes").exit_code == 0
    text = shipped.text("pipeline.yaml").replace("becomes four splits", "becomes splits")
    gone = "stages:\n  gone:\n    cmd: python -m octavo_stages.gone\n\n"
    (with_dvc / "dvc.yaml").write_text(text.replace("stages:\n", gone, 1))
    return with_dvc


def pipeline(project: Path, old: str, new: str) -> None:
    text = (project / "dvc.yaml").read_text()
    assert old in text
    (project / "dvc.yaml").write_text(text.replace(old, new, 1))


def test_an_old_pipeline_becomes_the_shipped_one_and_then_nothing_changes(project: Path, run: Run) -> None:
    done = run("upgrade", "--yes")
    assert done.exit_code == 0, done.output
    assert "-    cmd: python -m octavo_stages.gone" in done.stdout
    assert "+      desc: A source of images becomes four splits".replace("  desc", "desc") in done.stdout
    assert (project / "dvc.yaml").read_text() == shipped.text("pipeline.yaml")
    before = files(project)
    assert "up to date" in run("upgrade", "--yes").stdout
    assert files(project) == before


def test_what_is_the_users_stays_with_its_comments(project: Path, run: Run) -> None:
    pipeline(project, "\n  prepare:", f"{OWN}\n  prepare:")
    pipeline(project, "  - params.yaml\n", "  - params.yaml\n  - more.yaml # mine\n")
    pipeline(project, "\nplots:\n", "\nplots:\n  - loss: {x: a, y: {b.csv: c}}\n")
    with (project / "dvc.yaml").open("a") as file:
        file.write("\n# sold\nartifacts:\n  net: {path: a, type: model}\n")
    done = run("upgrade", "--yes")
    assert "stage fetch, section artifacts, vars more.yaml, plots loss" in done.stderr
    text = (project / "dvc.yaml").read_text()
    assert OWN in text
    assert "  - more.yaml # mine\n" in text
    assert "# sold\nartifacts:" in text
    found, new = yaml.safe_load(text), yaml.safe_load(shipped.text("pipeline.yaml"))
    assert found["stages"] == new["stages"] | {"fetch": {"cmd": "python fetch.py", "outs": ["pictures"]}}
    assert found["vars"] == [*new["vars"], "more.yaml"]
    assert found["plots"] == [*new["plots"], {"loss": {"x": "a", "y": {"b.csv": "c"}}}]
    assert "up to date" in run("upgrade", "--yes").stdout


@pytest.mark.parametrize(("typed", "changed"), [("n\n", False), ("y\n", True), ("\n", True)])
def test_it_asks(project: Path, run: Run, typed: str, changed: bool) -> None:
    before = files(project)
    assert run("upgrade", typed=typed).exit_code == 0
    assert (files(project) != before) == changed


def test_with_nobody_to_answer_nothing_changes(project: Path, run: Run) -> None:
    before = files(project)
    assert "--yes" in str(run("upgrade").exception)
    assert files(project) == before


def test_params_get_the_sections_that_a_new_pipeline_lists(project: Path, run: Run) -> None:
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("finetuned:")] + text[text.index("baseline:") :])
    assert "+finetuned: {}" in run("upgrade", "--yes").stdout
    assert yaml.safe_load(path.read_text())["finetuned"] == {}


def test_a_lost_plot_is_put_back(project: Path, run: Run) -> None:
    (project / ".dvc/plots/curves.json").unlink()
    assert run("upgrade", "--yes").exit_code == 0
    assert (project / ".dvc/plots/curves.json").read_text() == shipped.text("curves.json")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "octavo init"),
        ("stages: {mine: {cmd: ls}}\n", "not one of Octavo's"),
        ("[]", "not one of Octavo's"),
        ("stages: [", "not YAML"),
        ("stages: {a: {cmd: python -m octavo_stages.code}, b: {cmd: ls}}\n", "braces"),
        ("stages:\n  a: {cmd: python -m octavo_stages.code}\n  code: {cmd: ls}\n", "Rename yours"),
        ("x: &x {cmd: ls}\nstages:\n  a: {cmd: python -m octavo_stages.code}\n  b: *x\n", "as text"),
    ],
)
def test_what_cannot_be_renewed_is_told_and_stays(project: Path, run: Run, content: str | None, told: str) -> None:
    if content is None:
        (project / "dvc.yaml").unlink()
    else:
        (project / "dvc.yaml").write_text(content)
    before = files(project)
    failed = run("upgrade", "--yes").exception
    assert isinstance(failed, OctavoError)
    assert told in str(failed)
    assert files(project) == before


@pytest.mark.parametrize(
    ("stage", "command"),
    [("prepare", "python -m octavo_stages.prepare"), ("quantize", "python -m octavo_stages.quantize ${key}")],
)
def test_a_command_that_the_user_changed_is_shown_and_renewed(
    project: Path, run: Run, stage: str, command: str
) -> None:
    pipeline(project, f"cmd: {command}\n", "cmd: python mine.py\n")
    done = run("upgrade", "--yes")
    assert done.exit_code == 0, done.exception
    assert "-      cmd: python mine.py" in done.stdout.replace("-    cmd", "-      cmd")
    assert f"Your command of stage {stage} goes, because the stage is Octavo's: 'python mine.py'." in done.stderr
    assert "Kept" not in done.stderr
    assert (project / "dvc.yaml").read_text() == shipped.text("pipeline.yaml")
