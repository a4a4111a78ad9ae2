"""`octavo schedule`: start `octavo nightly` every night, by a scheduler of this machine or by another platform."""

import json
import os
from dataclasses import replace
from datetime import datetime, timezone

import click
import tzlocal

from octavo.project import paths
from octavo.project.errors import ServiceUnavailable
from octavo_mlflow.nightly.daily_time import Daily, clock_time, time_zone
from octavo_mlflow.scheduling import cron, systemd
from octavo_mlflow.scheduling.platform_files import PLATFORMS, manifest
from octavo_mlflow.scheduling.project_schedule import Installed, Scheduler, here, last_night, project

SCHEDULERS: tuple[Scheduler, ...] = (systemd, cron)
"""In the order of preference."""
FOR_THE_NIGHT = ("MLFLOW_TRACKING_", "MLFLOW_S3_", "OCTAVO_", "AWS_", "AZURE_", "GOOGLE_APPLICATION_")
"""Prefixes of variables that a night may need."""


@click.group()
def schedule() -> None:
    """Have octavo nightly run every night: install, show or remove it."""


@schedule.command()
@click.option("--at", default="02:30", show_default=True, metavar="HH:MM", help="Time of day.")
@click.option(
    "--zone", metavar="NAME", help="Time zone of that time, such as Europe/Berlin.  [default: this machine's]"
)
@click.option("--print", "platform", type=click.Choice(list(PLATFORMS)), help="Print a file for it; install nothing.")
def install(at: str, zone: str | None, platform: str | None) -> None:
    """Start a night at that time every day, by systemd or otherwise by cron."""
    daily = Daily(clock_time(at), time_zone(zone or local_zone()))
    if platform:
        click.echo(manifest(platform, here(daily)), nl=False)
        return
    now = datetime.now(timezone.utc)
    night = here(replace(daily, since=now))
    scheduler = working()
    for other in SCHEDULERS:
        if other is not scheduler:
            other.remove(night.root)
    notes = [*scheduler.install(night), *unseen()]
    found = scheduler.installed(night.root)
    assert found, "it was just installed"
    click.echo(f"Every night at {daily}, by {found.scheduler}. The next: {both_zones(found, now)}.")
    for note in notes:
        click.echo(f"octavo: {note}", err=True)


@schedule.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool) -> None:
    """Show what starts the nights, when the next one is and when the last one was."""
    root, now = project(), datetime.now(timezone.utc)
    found = next((installed for scheduler in SCHEDULERS if (installed := scheduler.installed(root))), None)
    if as_json:
        click.echo(json.dumps(as_record(found, now), indent=2))
    elif found is None:
        click.echo(f"No night is scheduled for {root}. To schedule one: octavo schedule install --at 02:30.")
    else:
        click.echo(f"scheduler   {found.scheduler}{'' if found.active else ', not running'}")
        late = ", or within ten minutes after" if found.scheduler == "cron" else ""
        click.echo(f"next night  {both_zones(found, now)}{late}")
        click.echo(f"last night  {last_night() or 'none yet'}")
        click.echo(f"command     {found.command}")
        click.echo(f"log         {found.log}")


@schedule.command()
def remove() -> None:
    """Start no more nights. A night in progress is not interrupted."""
    root = project()
    removed = [scheduler.remove(root) for scheduler in SCHEDULERS]
    click.echo(f"No night is scheduled for {root} any more." if any(removed) else f"No night was scheduled for {root}.")


def working() -> Scheduler:
    """The first scheduler that works for this user.

    Raises:
        ServiceUnavailable: none works.
    """
    troubles = []
    for scheduler in SCHEDULERS:
        if (trouble := scheduler.trouble()) is None:
            return scheduler
        troubles.append(trouble)
    raise ServiceUnavailable(
        f"No scheduler here can start a night: {'; '.join(troubles)}. On a server, log in as this user by ssh, or let "
        "root run loginctl enable-linger for this user or install cron. In a container use the platform's scheduler: "
        f"octavo schedule install --print writes a file for {', '.join(PLATFORMS)}."
    )


def local_zone() -> str:
    """The name of this machine's time zone; UTC if it is unknown."""
    try:
        return tzlocal.get_localzone_name() or "UTC"
    except LookupError:  # its files contradict each other
        return "UTC"


def unseen() -> list[str]:
    """A note on variables of this shell that the night may need and will not have."""
    environment = paths.NIGHT_ENVIRONMENT
    written = environment.read_text(encoding="utf-8") if environment.exists() else ""
    missing = [name for name in sorted(os.environ) if name.startswith(FOR_THE_NIGHT) and f"{name}=" not in written]
    note = f"A night does not see these variables of this shell: {', '.join(missing)}. Write those that it needs into "
    return [f"{note}{environment}, one line NAME='value' each."] if missing else []


def both_zones(found: Installed, now: datetime) -> str:
    """The next night in its zone and in UTC."""
    due = found.daily.next_due(now)
    return f"{due.astimezone(found.daily.zone):%Y-%m-%d %H:%M} {found.daily.zone} ({due:%Y-%m-%d %H:%M} UTC)"


def as_record(found: Installed | None, now: datetime) -> dict[str, object]:
    """The output of `show --json`. If nothing is installed, everything except the last night is null."""
    due = found and found.daily.next_due(now)
    return {
        "scheduler": found and found.scheduler,
        "active": found and found.active,
        "at": found and f"{found.daily.at:%H:%M}",
        "zone": found and found.daily.zone.key,
        "next": found and due and due.astimezone(found.daily.zone).isoformat(),
        "next_utc": due and due.isoformat(),
        "last": last_night(),
        "command": found and found.command,
        "log": found and found.log,
    }
