"""`octavo schedule` where there is cron: the real crontab, the real daemon, on a machine of their own."""

import json
import shutil
from pathlib import Path

import pytest

from tests.octavo_mlflow.scheduling.machine import Machine, make_project, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("crontab"), reason="needs the package cron"),
]

THEIRS = "# m h dom mon dow\nMAILTO=ada\n\n5 4 * * sun\ttouch '50\\% done'   # octavo\n@daily true\n"


def crontab(machine: Machine) -> str:
    return machine.run("crontab", "-l").stdout


def write_crontab(machine: Machine, text: str, folder: Path) -> None:
    (folder / "crontab").write_text(text)
    assert machine.run("crontab", str(folder / "crontab")).returncode == 0


def test_every_other_line_stays_byte_for_byte(machine: Machine, project: Path, neighbour: Path, tmp_path: Path) -> None:
    write_crontab(machine, THEIRS, tmp_path)
    assert machine.schedule(neighbour, "install", "--at", "04:00").returncode == 0
    before = crontab(machine)
    assert before.startswith(THEIRS)
    for at in ("02:30", "03:45"):
        assert machine.schedule(project, "install", "--at", at).returncode == 0
    added = crontab(machine).removeprefix(before).splitlines()
    assert [line.split(" cd ")[0] for line in added] == ["*/10 * * * *", "@reboot"]
    assert all("--due '03:45 " in line for line in added)
    assert machine.schedule(project, "remove").returncode == 0
    assert crontab(machine) == before
    assert machine.schedule(neighbour, "remove").returncode == 0
    assert crontab(machine) == THEIRS


def test_show_says_what_was_installed_until_it_is_removed(machine: Machine, project: Path) -> None:
    installed = machine.schedule(project, "install", "--at", "2:30", "--zone", "Asia/Kolkata")
    assert (installed.returncode, installed.stdout.split(". ")[0]) == (0, "Every night at 02:30 Asia/Kolkata, by cron")
    shown = json.loads(machine.schedule(project, "show", "--json").stdout)
    assert (shown["scheduler"], shown["at"], shown["zone"], shown["last"]) == ("cron", "02:30", "Asia/Kolkata", None)
    assert shown["next"].endswith("T02:30:00+05:30")
    assert shown["next_utc"].endswith("T21:00:00+00:00")
    assert f"cd '{project.parent}" in shown["command"]
    shows = machine.schedule(project, "show").stdout
    assert "next night  20" in shows
    assert "(20" in shows
    assert " UTC), or within ten minutes after\n" in shows
    said = [machine.schedule(project, "remove").stdout.split(" for")[0] for _ in range(2)]
    assert said == ["No night is scheduled", "No night was scheduled"]
    assert json.loads(machine.schedule(project, "show", "--json").stdout)["scheduler"] is None


def test_the_daemon_starts_the_night_in_the_project_with_its_environment(machine: Machine, project: Path) -> None:
    (project / "nightly.env").write_text("# for the night\nGREETING='50% off $HOME'\n")
    installed = machine.schedule(project, "install", "--zone", "UTC")
    assert "No cron daemon runs here" in installed.stderr
    daemon = machine.start("cron", "-f")
    assert wait_for((project / "record").exists)
    shown = json.loads(machine.schedule(project, "show", "--json").stdout)
    daemon.kill()
    folder, python, greeting, nice, *arguments = (project / "record").read_text().splitlines()
    assert (folder, python) == (str(project), str(project / ".venv/bin/python"))
    assert (greeting, nice) == ("50% off $HOME", "10")
    assert arguments[:2] == ["nightly", "--due"]
    assert arguments[2].startswith("02:30 UTC since 20")
    assert shown["active"]
    assert shown["log"] == "reports/nightly/cron.log"
    assert (project / shown["log"]).read_text() == ""


def test_what_crontab_refuses_is_said_and_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    write_crontab(machine, THEIRS, tmp_path)
    refused = machine.schedule(make_project(tmp_path / ("long" * 60)), "install")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "command too long" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert crontab(machine) == THEIRS
