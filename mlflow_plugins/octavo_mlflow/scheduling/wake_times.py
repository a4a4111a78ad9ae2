"""Times of day at which a scheduler that ignores clock changes must start a night.

Octavo itself then decides whether a night is due. A superfluous start does nothing, but no start may be missing.
"""

from collections.abc import Iterable
from datetime import datetime, time, timezone, tzinfo

from octavo_mlflow.nightly.daily_time import DAY, Daily

AHEAD = range(2 * 366)
"""Days to look ahead: every change of the clocks comes within a year or two."""


def exact(daily: Daily, now: datetime) -> list[time]:
    """Times in the night's zone that hit each due instant: `at`, and the end of every gap that skips it.

    Args:
        daily: the night's time and zone.
        now: with a time zone.
    """
    today = now.astimezone(daily.zone).date()
    return _times((due for day in AHEAD if (due := daily.due(today + day * DAY))), daily.zone)


def few(daily: Daily, now: datetime, zone: tzinfo) -> list[time]:
    """Times in `zone` that hit each due instant or, if a gap skips `at`, come later by at most the gap.

    Args:
        daily: the night's time and zone.
        now: with a time zone.
        zone: of the scheduler.
    """
    today = now.astimezone(daily.zone).date()
    nominal = (datetime.combine(today + day * DAY, daily.at, daily.zone) for day in AHEAD)
    return _times((instant.astimezone(timezone.utc) for instant in nominal), zone)


def _times(instants: Iterable[datetime], zone: tzinfo) -> list[time]:
    return sorted({instant.astimezone(zone).time() for instant in instants})
