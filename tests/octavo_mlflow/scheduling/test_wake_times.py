"""A scheduler that knows no clock changes wakes a night up often enough, and not much more often."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octavo_mlflow.nightly.daily_time import DAY, Daily, parse
from octavo_mlflow.scheduling.platform_files import cron
from octavo_mlflow.scheduling.wake_times import exact, few

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk")

ats = st.one_of(st.builds(time, st.integers(0, 23), st.integers(0, 59)), st.sampled_from([time(2, 30), time(2, 15)]))
dailies = st.builds(Daily, ats, st.sampled_from(ZONES).map(ZoneInfo))


@pytest.mark.parametrize(
    ("text", "hit", "local", "in_utc"),
    [
        ("02:30 UTC", "30 2 * * *", "30 2 * * *", "30 2 * * *"),
        ("02:30 Europe/Berlin", "0,30 2,3 * * *", "30 2,3 * * *", "30 0,1 * * *"),
        ("06:00 Europe/Berlin", "0 6 * * *", "0 6 * * *", "0 4,5 * * *"),
        ("02:30 Asia/Kolkata", "30 2 * * *", "30 2 * * *", "0 21 * * *"),
        ("02:15 Australia/Lord_Howe", "15,30 2 * * *", "15,45 2 * * *", "15,45 15 * * *"),
    ],
)
def test_wakes_of_known_zones(text: str, hit: str, local: str, in_utc: str) -> None:
    daily = parse(text)
    assert cron(exact(daily, NOW)) == hit
    assert cron(few(daily, NOW, daily.zone)) == local
    assert cron(few(daily, NOW, UTC)) == in_utc


@given(dailies)
@settings(deadline=None, max_examples=30)
def test_every_instant_due_is_hit(daily: Daily) -> None:
    wakes = exact(daily, NOW)
    dues = [due for day in range(700) if (due := daily.due(NOW.date() + day * DAY))]
    assert {due.astimezone(daily.zone).time() for due in dues} == set(wakes)


@given(dailies)
@settings(deadline=None, max_examples=10)
def test_woken_in_utc_it_runs_once_a_day_and_only_in_spring_late(daily: Daily) -> None:
    times = few(daily, NOW, UTC)
    wakes = [datetime.combine(NOW.date() + day * DAY, at, UTC) for day in range(400) for at in times]
    finished, late = NOW, []
    for wake in wakes:
        if wake > NOW and daily.missed(finished, wake):
            finished = wake
            late.append(wake - daily.last_due(wake))
    assert 399 <= len(late) <= 400
    assert max(late) <= timedelta(hours=1)
    assert sum(lateness > timedelta() for lateness in late) <= 2
