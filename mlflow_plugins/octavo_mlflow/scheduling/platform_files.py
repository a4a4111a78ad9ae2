"""Files for platforms that start nights themselves: Kubernetes, GitHub Actions, Airflow."""

from collections.abc import Iterable
from datetime import datetime, time, timezone

from octavo.project import paths
from octavo_mlflow.scheduling.filled_files import render
from octavo_mlflow.scheduling.project_schedule import ProjectSchedule, label
from octavo_mlflow.scheduling.wake_times import few

PLATFORMS = {"kubernetes": "kubernetes.yaml.j2", "github": "github.yml.j2", "airflow": "airflow.py.j2"}


def manifest(platform: str, night: ProjectSchedule) -> str:
    """The file for one of `PLATFORMS`. The same night gives the same bytes as long as its time zone keeps its rules."""
    now = datetime.now(timezone.utc)
    return render(
        PLATFORMS[platform],
        night=night,
        environment=paths.NIGHT_ENVIRONMENT,
        label=label(night.root),
        at=f"{night.daily.at:%H:%M}",
        cron=cron([night.daily.at]),
        local_cron=cron(few(night.daily, now, night.daily.zone)),
        utc_cron=cron(few(night.daily, now, timezone.utc)),
    )


def cron(times: Iterable[time]) -> str:
    """Cron's five fields for all these times, and for every other combination of their hours and minutes.

    >>> cron([time(2, 30), time(3, 30)])
    '30 2,3 * * *'
    """
    minutes, hours = zip(*((wake.minute, wake.hour) for wake in times), strict=True)
    return " ".join([*(",".join(map(str, sorted(set(field)))) for field in (minutes, hours)), "* * *"])
