"""The times of day at which a scheduler that knows no clock changes must wake a night up.

Octavo itself decides then whether one is due, so that a wake too many does nothing; there must be none too few.
"""

from collections.abc import Iterable
from datetime import datetime, time, timezone, tzinfo

from octavo_mlflow.nightly.daily_time import DAY, Daily

AHEAD = range(2 * 366)
"""Days looked at: every change of the clocks comes within a year or two."""


def exact(daily: Daily, now: datetime) -> list[time]:
    """Times in the daily's zone that hit each instant due: `at`, and the end of any gap that skips it."""
    today = now.astimezone(daily.zone).date()
    return _times((due for day in AHEAD if (due := daily.due(today + day * DAY))), daily.zone)


def few(daily: Daily, now: datetime, zone: tzinfo) -> list[time]:
    """Times in `zone` that hit each instant due or, where a gap skips `at`, come later by no more than the gap."""
    today = now.astimezone(daily.zone).date()
    nominal = (datetime.combine(today + day * DAY, daily.at, daily.zone) for day in AHEAD)
    return _times((instant.astimezone(timezone.utc) for instant in nominal), zone)


def _times(instants: Iterable[datetime], zone: tzinfo) -> list[time]:
    return sorted({instant.astimezone(zone).time() for instant in instants})
