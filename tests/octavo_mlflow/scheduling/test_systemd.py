"""`octavo schedule` where systemd runs for the user: a real one, on a machine of its own."""

import json
import shutil
from pathlib import Path

import pytest

from octavo_mlflow.scheduling.project_schedule import name
from tests.octavo_mlflow.scheduling.machine import Machine, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/lib/systemd/systemd").exists(), reason="needs the package systemd"),
]


def systemctl(machine: Machine, *arguments: str) -> str:
    return machine.run("systemctl", "--user", *arguments).stdout


def units(home: Path) -> set[str]:
    return {file.name for file in home.rglob("*") if file.suffix in (".service", ".timer")}


def test_units_are_verified_enabled_shown_and_removed(
    systemd_machine: Machine, project: Path, neighbour: Path, home: Path
) -> None:
    machine = systemd_machine
    assert machine.schedule(neighbour, "install", "--at", "04:00").returncode == 0
    others = units(home)
    for at in ("02:30", "03:45"):
        installed = machine.schedule(project, "install", "--at", at, "--zone", "Europe/Berlin")
        assert installed.returncode == 0
    timer = f"{name(project)}.timer"
    assert installed.stdout.startswith(f"Every night at 03:45 Europe/Berlin, by systemd timer {name(project)}. ")
    assert units(home) - others == {timer, f"{name(project)}.service", f"stamp-{timer}"}
    verified = machine.run(
        "systemd-analyze", "--user", "verify", *(str(file) for file in home.rglob(f"{name(project)}.*"))
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    assert systemctl(machine, "is-enabled", timer) == "enabled\n"
    shown = json.loads(machine.schedule(project, "show", "--json").stdout)
    elapse = systemctl(machine, "show", timer, "--property=NextElapseUSecRealtime", "--value", "--timestamp=utc")
    assert shown["active"]
    assert shown["next_utc"][:16].replace("T", " ") in elapse
    said = [machine.schedule(project, "remove").stdout.split(" for")[0] for _ in range(2)]
    assert said == ["No night is scheduled", "No night was scheduled"]
    assert units(home) == others
    assert timer not in systemctl(machine, "list-timers", "--all")
    assert f"{name(neighbour)}.timer" in systemctl(machine, "list-timers", "--all")


def test_the_night_starts_in_the_project_with_its_environment(systemd_machine: Machine, project: Path) -> None:
    machine = systemd_machine
    (project / "nightly.env").write_text("# for the night\nGREETING='50% off $HOME'\n")
    assert machine.schedule(project, "install", "--zone", "UTC").returncode == 0
    systemctl(machine, "start", f"{name(project)}.service")
    folder, python, greeting, nice, *arguments = (project / "record").read_text().splitlines()
    assert (folder, python) == (str(project), str(project / ".venv/bin/python"))
    assert (greeting, nice) == ("50% off $HOME", "10")
    assert arguments[:2] == ["nightly", "--due"]
    assert arguments[2].startswith("02:30 UTC since 20")


def test_a_night_that_was_killed_goes_on_and_one_that_is_stopped_leaves_nothing_behind(
    systemd_machine: Machine, project: Path
) -> None:
    machine, service = systemd_machine, f"{name(project)}.service"
    (project / "linger").touch()
    assert machine.schedule(project, "install").returncode == 0
    systemctl(machine, "start", "--no-block", service)
    assert wait_for(lambda: "sleep 600" in systemctl(machine, "status", service))
    systemctl(machine, "kill", "--signal=KILL", service)
    assert wait_for(lambda: "auto-restart" in systemctl(machine, "show", service, "--property=SubState"))
    systemctl(machine, "restart", "--no-block", service)
    assert wait_for(lambda: "sleep 600" in systemctl(machine, "status", service))
    systemctl(machine, "stop", service)
    assert "sleep 600" not in machine.run("ps", "-e", "-o", "args").stdout
    (project / "linger").unlink()


def test_what_systemd_refuses_is_said_and_leaves_nothing_behind(
    systemd_machine: Machine, project: Path, home: Path
) -> None:
    (home / ".config/systemd/user").mkdir(parents=True)
    (home / ".config/systemd/user/timers.target.wants").touch()
    refused = systemd_machine.schedule(project, "install")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"octavo: systemd refuses {name(project)}.timer: ")
    assert refused.stderr.count("\n") == 1
    assert units(home) == set()


def program(home: Path, name: str, script: str) -> None:
    file = home / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_who_is_logged_out_by_night_is_told_of_lingering(systemd_machine: Machine, project: Path, home: Path) -> None:
    program(home, "loginctl", "echo no")  # the real one needs a machine booted by systemd
    path = f"{home}/bin:{systemd_machine.environment['PATH']}"
    assert "loginctl enable-linger" in systemd_machine.schedule(project, "install", PATH=path).stderr


@pytest.mark.skipif(not shutil.which("crontab"), reason="needs the package cron")
def test_systemd_takes_over_from_cron(systemd_machine: Machine, project: Path, home: Path) -> None:
    machine = systemd_machine
    program(home, "systemctl", "echo no bus >&2; exit 1")
    without = {"PATH": f"{home}/bin:{machine.environment['PATH']}"}
    assert "by cron" in machine.schedule(project, "install", **without).stdout
    assert "by systemd" in machine.schedule(project, "install").stdout
    assert machine.run("crontab", "-l").stdout == ""
    out_of_reach = machine.schedule(project, "remove", **without)
    assert out_of_reach.returncode == 3
    assert "systemctl --user says 'no bus'" in out_of_reach.stderr
