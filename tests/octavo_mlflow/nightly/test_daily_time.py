"""One run on every day of the local calendar, whatever its clocks do."""

from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo.project.errors import ScheduleError
from octavo_mlflow.nightly.daily_time import Daily, clock_time, parse, time_zone

UTC = timezone.utc
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
ZONES = sorted(available_timezones() - {"localtime"})


def offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    found = instant.astimezone(zone).utcoffset()
    assert found is not None
    return found


def local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours, in UTC, of that year in which the zone's clocks change."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    days = [start + day * DAY for day in range(366)]
    broken = [day for day in days if offset(day, zone) != offset(day + DAY, zone)]
    hours = [day + hour * HOUR for day in broken for hour in range(24)]
    return [hour for hour in hours if offset(hour, zone) != offset(hour + HOUR, zone)]


@st.composite
def clock_changes(draw: st.DrawFn) -> tuple[Daily, datetime]:
    """A time of day and an instant near a change of the clocks, in a zone and a year that have one."""
    zone, year = ZoneInfo(draw(st.sampled_from(ZONES))), draw(st.integers(1972, 2098))
    instant = draw(st.sampled_from(changes(zone, year) or [datetime(year, 6, 1, tzinfo=UTC)]))
    instant += draw(st.integers(-180, 180)) * MINUTE
    at = (instant + draw(st.integers(-120, 120)) * MINUTE).astimezone(zone)
    return Daily(time(at.hour, at.minute), zone), instant


ats = st.builds(time, st.integers(0, 23), st.integers(0, 59))
dailies = st.builds(Daily, ats, st.sampled_from(ZONES).map(ZoneInfo))
instants = st.datetimes(datetime(1972, 1, 1), datetime(2099, 12, 28), timezones=st.just(UTC))
cases = st.one_of(clock_changes(), st.tuples(dailies, instants))


@pytest.mark.parametrize(
    ("at", "zone", "day", "due"),
    [
        ("02:30", "Europe/Berlin", "2026-03-28", "2026-03-28T01:30"),
        ("02:30", "Europe/Berlin", "2026-03-29", "2026-03-29T01:00"),  # skipped: the gap ends at 03:00 summer time
        ("02:00", "Europe/Berlin", "2026-03-29", "2026-03-29T01:00"),
        ("03:00", "Europe/Berlin", "2026-03-29", "2026-03-29T01:00"),
        ("02:30", "Europe/Berlin", "2026-10-25", "2026-10-25T00:30"),  # twice: the first is in summer time
        ("02:30", "Europe/Berlin", "2026-10-26", "2026-10-26T01:30"),
        ("02:15", "Australia/Lord_Howe", "2026-10-04", "2026-10-03T15:30"),  # half an hour is skipped
        ("00:30", "Africa/Cairo", "2026-04-24", "2026-04-23T22:00"),  # the day begins at 01:00
        ("23:30", "America/Nuuk", "2026-03-28", "2026-03-29T01:00"),  # the day ends at 23:00
        ("02:30", "America/New_York", "2026-03-08", "2026-03-08T07:00"),
        ("02:30", "UTC", "2026-03-29", "2026-03-29T02:30"),
        ("02:30", "Pacific/Apia", "2011-12-29", "2011-12-29T12:30"),
        ("02:30", "Pacific/Apia", "2011-12-30", None),  # no such day: the date line moved
        ("02:30", "Pacific/Apia", "2011-12-31", "2011-12-30T12:30"),
    ],
)
def test_when_a_day_is_due(at: str, zone: str, day: str, due: str | None) -> None:
    assert parse(f"{at} {zone}").due(date.fromisoformat(day)) == (due and utc(due))


@given(cases)
@settings(deadline=None)
def test_it_is_due_once_when_the_clock_first_shows_the_time_or_passes_it(case: tuple[Daily, datetime]) -> None:
    nightly, instant = case
    day = local(instant, nightly.zone).date()
    due = nightly.due(day)
    assert due is not None
    assert local(due - SECOND, nightly.zone) < datetime.combine(day, nightly.at) <= local(due, nightly.zone)


@given(cases)
@settings(deadline=None)
def test_days_follow_each_other_by_24_hours_and_the_change_between(case: tuple[Daily, datetime]) -> None:
    nightly, instant = case
    day = local(instant, nightly.zone).date()
    first, second = nightly.due(day), nightly.due(day + DAY)
    if first is None or second is None:
        return
    seen = [offset(first + hour * HOUR, nightly.zone) for hour in range(-2, 50)]
    change = max(seen) - min(seen)
    assert first < second
    assert DAY - change <= second - first <= DAY + change


@given(cases)
@settings(deadline=None)
def test_now_lies_between_the_last_and_the_next(case: tuple[Daily, datetime]) -> None:
    nightly, now = case
    last, following = nightly.last_due(now), nightly.next_due(now)
    assert last <= now < following
    assert nightly.next_due(last) == following
    assert nightly.last_due(following - SECOND) == last


@given(cases)
@settings(deadline=None, max_examples=50)
def test_woken_every_ten_minutes_it_runs_once_a_day(case: tuple[Daily, datetime]) -> None:
    nightly, middle = case
    start, end = middle - 2 * DAY, middle + 2 * DAY
    finished, ran = start, []
    for wake in (start + step * 10 * MINUTE for step in range(4 * 24 * 6 + 1)):
        if nightly.missed(finished, wake):
            finished = wake
            ran.append(nightly.last_due(wake))
    days = [local(start, nightly.zone).date() + number * DAY for number in range(-1, 7)]
    assert ran == [due for day in days if (due := nightly.due(day)) and start < due <= end]


def test_the_last_and_the_next_lie_beyond_a_day_that_the_calendar_left_out() -> None:
    nightly = parse("02:30 Pacific/Apia")
    before, after = utc("2011-12-29T12:30"), utc("2011-12-30T12:30")
    assert nightly.next_due(before) == after
    assert nightly.last_due(after - SECOND) == before


def test_what_was_missed_is_caught_up_once() -> None:
    nightly = parse("02:30 Europe/Berlin")
    back = utc("2026-11-25T09:00")
    assert nightly.missed(utc("2026-11-20T01:45"), back)
    assert not nightly.missed(back, back + HOUR)
    assert nightly.missed(None, back)


def test_nothing_is_missed_from_before_the_schedule_was_there() -> None:
    nightly = parse("02:30 Europe/Berlin since 2026-11-25T14:00+00:00")
    assert not nightly.missed(None, utc("2026-11-25T14:10"))
    assert not nightly.missed(utc("2026-11-20T01:45"), utc("2026-11-26T01:29"))
    assert nightly.missed(None, utc("2026-11-26T01:30"))


@given(dailies, st.none() | instants.map(lambda instant: instant.replace(second=0, microsecond=0)))
@settings(deadline=None)
def test_what_is_written_is_read(nightly: Daily, since: datetime | None) -> None:
    whole = Daily(nightly.at, nightly.zone, since)
    assert parse(str(whole)) == whole


@pytest.mark.parametrize(
    "text",
    ["", "02:30", "Europe/Berlin", "02:30  UTC", "02:30 UTC since", "02:30 UTC since monday", "02:30 UTC 2026-11-25"],
)
def test_what_is_no_schedule_is_said(text: str) -> None:
    with pytest.raises(ScheduleError, match="is not a daily schedule"):
        parse(text)


@pytest.mark.parametrize("text", ["24:00", "2:60", "0230", "02:30:00", "noon", "-1:00", ""])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ScheduleError, match="00:00 to 23:59"):
        clock_time(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", "/etc/passwd", "", "Europe", "CEST\0"])
def test_an_unknown_zone_is_said(name: str) -> None:
    with pytest.raises(ScheduleError, match="Allowed: the names of the tz database"):
        time_zone(name)


def test_a_slip_of_the_pen_gets_the_zone_meant() -> None:
    with pytest.raises(ScheduleError, match="Similar names: Europe/Berlin"):
        time_zone("Europe/Berlln")
