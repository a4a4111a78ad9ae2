"""A time of day, due once on every day of the local calendar.

Clocks that change do not lose or repeat a day's run: a time that spring skips is due at the first instant after the
gap, a time that autumn repeats at its first occurrence. Schedulers only wake Octavo up; what is due is decided here.
"""

import difflib
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from octavo.project.errors import ScheduleError

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
NEAR = range(-2, 3)
"""Days, from today, on which the last and the next instant lie: a day can be missing from the calendar."""
WRITTEN = re.compile(r"(?P<at>\S+) (?P<zone>\S+)(?: since (?P<since>\S+[+-]\d\d:\d\d))?")


@dataclass(frozen=True)
class Daily:
    """What is due at `at` in `zone`, on every day; nothing that was due before `since` counts as missed."""

    at: time
    zone: ZoneInfo
    since: datetime | None = None

    def __str__(self) -> str:
        since = f" since {self.since.isoformat(timespec='minutes')}" if self.since else ""
        return f"{self.at:%H:%M} {self.zone.key}{since}"

    def due(self, day: date) -> datetime | None:
        """The instant, in UTC, that is due on a day of the zone's calendar; None where the calendar left the day out.

        PEP 495 reads a wall-clock time with the offset before a change (fold 0) and with that after it (fold 1). Only
        a time that does not exist is earlier by the second reading; the gap ends between the two.
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
        """Whether an instant has been due since `finished`, when the last run ended (None: there was none)."""
        due = self.last_due(now)
        return all(instant < due for instant in (finished, self.since) if instant)

    def _dues_near(self, now: datetime) -> list[datetime]:
        today = now.astimezone(self.zone).date()
        return [due for day in NEAR if (due := self.due(today + day * DAY))]


def parse(text: str) -> Daily:
    """Read what `str` of a `Daily` writes, for example `02:30 Europe/Berlin since 2026-11-25T14:00+00:00`.

    Raises:
        ScheduleError: it is not written so, or there is no such time or zone.
    """
    written = WRITTEN.fullmatch(text)
    try:
        if written:
            since = datetime.fromisoformat(written["since"]) if written["since"] else None
            return Daily(clock_time(written["at"]), time_zone(written["zone"]), since)
    except ValueError:
        pass
    raise ScheduleError(
        f"'{text}' is no daily schedule. Write HH:MM and a time zone, for example '02:30 Europe/Berlin'."
    )


def clock_time(text: str) -> time:
    """Read a time of day.

    Raises:
        ScheduleError: it is none.
    """
    try:
        return datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise ScheduleError(f"'{text}' is no time of day. Allowed: 00:00 to 23:59, for example 02:30.") from None


def time_zone(name: str) -> ZoneInfo:
    """The zone of that name in this machine's time zone database.

    Raises:
        ScheduleError: it is not there; the message has the names nearest to it.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones())
        hint = f" Near to it: {', '.join(near)}." if near else ""
        raise ScheduleError(
            f"Unknown time zone '{name}'.{hint} Allowed: the names of the tz database, such as Europe/Berlin or UTC; "
            "a machine without any needs its package tzdata."
        ) from None


def _instant(at: time, day: date, zone: ZoneInfo, fold: int) -> datetime:
    return datetime.combine(day, at.replace(fold=fold), zone).astimezone(timezone.utc)
