"""A time of day that is due once on every day of the local calendar.

Changes of the clock neither skip nor repeat a day's run. If a change skips the time, it is due at the first instant
after the gap. If a change repeats it, it is due at its first occurrence. Schedulers only start Octavo; this module
decides whether a night is due.

It is Octavo's own because a cron library reads cron expressions, while this takes one time of day and defines what
happens to it when the clocks change; the time zones are those of `zoneinfo`.
"""

import difflib
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from octavo.project.errors import ScheduleError

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
NEAR = range(-2, 3)
"""Days, counted from today, that can hold the last and the next due instant. A day can be missing from a calendar."""
WRITTEN = re.compile(r"(?P<at>\S+) (?P<zone>\S+)(?: since (?P<since>\S+[+-]\d\d:\d\d))?")


@dataclass(frozen=True)
class Daily:
    """A daily time `at` in `zone`. What was due before `since` does not count as missed."""

    at: time
    zone: ZoneInfo
    since: datetime | None = None

    def __str__(self) -> str:
        since = f" since {self.since.isoformat(timespec='minutes')}" if self.since else ""
        return f"{self.at:%H:%M} {self.zone.key}{since}"

    def due(self, day: date) -> datetime | None:
        """The due instant, in UTC, of a day in the zone's calendar. None if the calendar skips that day.

        PEP 495 reads a wall-clock time with the offset before a change (fold 0) and after it (fold 1). Only for a time
        that does not exist is the second reading earlier; the gap ends between the two.
        """
        before, after = (_instant(self.at, day, self.zone, fold) for fold in (0, 1))
        if before <= after:
            return before
        if before - after >= DAY:  # as in Samoa, which had no 30 December 2011
            return None
        offset = before.astimezone(self.zone).utcoffset()
        seconds = range(int((before - after).total_seconds()))
        changed = bisect_left(
            seconds, True, key=lambda s: (after + s * SECOND).astimezone(self.zone).utcoffset() == offset
        )
        return after + changed * SECOND

    def last_due(self, now: datetime) -> datetime:
        """The latest due instant that is not after `now`, in UTC."""
        return max(due for due in self._dues_near(now) if due <= now)

    def next_due(self, now: datetime) -> datetime:
        """The first due instant after `now`, in UTC."""
        return min(due for due in self._dues_near(now) if due > now)

    def missed(self, finished: datetime | None, now: datetime) -> bool:
        """Whether an instant has been due since `finished`, the end of the last run (None if there was none)."""
        due = self.last_due(now)
        return all(instant < due for instant in (finished, self.since) if instant)

    def _dues_near(self, now: datetime) -> list[datetime]:
        today = now.astimezone(self.zone).date()
        return [due for day in NEAR if (due := self.due(today + day * DAY))]


def parse(text: str) -> Daily:
    """Read the text form of a `Daily`, for example `02:30 Europe/Berlin since 2026-11-25T14:00+00:00`.

    Raises:
        ScheduleError: it has another form, or there is no such time or zone.
    """
    written = WRITTEN.fullmatch(text)
    try:
        if written:
            since = datetime.fromisoformat(written["since"]) if written["since"] else None
            return Daily(clock_time(written["at"]), time_zone(written["zone"]), since)
    except ValueError:
        pass
    raise ScheduleError(
        f"'{text}' is not a daily schedule. Write HH:MM and a time zone, for example '02:30 Europe/Berlin'."
    )


def clock_time(text: str) -> time:
    """Read a time of day.

    Raises:
        ScheduleError: it is not a time of day.
    """
    try:
        return datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise ScheduleError(f"'{text}' is not a time of day. Allowed: 00:00 to 23:59, for example 02:30.") from None


def time_zone(name: str) -> ZoneInfo:
    """The time zone with that name, from this machine's time zone database.

    Raises:
        ScheduleError: there is none. The message suggests similar names.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones())
        hint = f" Similar names: {', '.join(near)}." if near else ""
        raise ScheduleError(
            f"Unknown time zone '{name}'.{hint} Allowed: the names of the tz database, such as Europe/Berlin or UTC. "
            "If this machine has no such database, install the package tzdata."
        ) from None


def _instant(at: time, day: date, zone: ZoneInfo, fold: int) -> datetime:
    return datetime.combine(day, at.replace(fold=fold), zone).astimezone(UTC)
