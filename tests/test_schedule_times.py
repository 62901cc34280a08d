"""When a schedule is due: intervals keep their phase, calendars their time zone."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.schedule.schedule import Schedule
from numen.schedule.times import is_frequent, next_run, next_runs
from schedule_reckoning import at


def test_an_interval_keeps_its_phase_however_late_one_asks() -> None:
    every = Schedule(every=30.0)

    assert next_run(every, after=100.0, anchor=7.0) == 127.0
    assert next_run(every, after=126.9, anchor=7.0) == 127.0
    assert next_run(every, after=127.0, anchor=7.0) == 157.0
    assert next_run(every, after=5000.0, anchor=7.0) == 5017.0


def test_an_interval_does_not_drift() -> None:
    time, runs = 0.3, 0
    while runs < 10_000:
        found = next_run(Schedule(every=0.1), time, anchor=0.3)
        assert found is not None
        time, runs = found, runs + 1

    assert time == pytest.approx(0.3 + 1000.0, abs=1e-9)


@given(st.floats(0.01, 1e8), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_the_next_time_is_past_the_one_asked_for_and_no_further_than_the_interval(
    every: float, anchor: float, after: float
) -> None:
    found = next_run(Schedule(every=every), after, anchor)

    assert found is not None
    steps = round((found - anchor) / every)
    assert anchor + (steps - 1) * every <= after < found
    assert abs((found - anchor) / every - steps) < 1e-3


def test_a_division_that_is_rounded_skips_no_time() -> None:
    skipped = [
        (every, steps)
        for every in (0.1, 0.3, 0.7)
        for steps in range(1, 1000)
        if next_run(Schedule(every=every), math.nextafter(steps * every, 0.0)) != steps * every
    ]

    assert skipped == []


def test_a_calendar_is_that_of_its_time_zone() -> None:
    noon = Schedule(cron="0 12 * * *", timezone="America/New_York")

    assert next_runs(noon, at(2026, 3, 7).timestamp(), 3) == (
        at(2026, 3, 7, 17).timestamp(),
        at(2026, 3, 8, 16).timestamp(),
        at(2026, 3, 9, 16).timestamp(),
    )


def test_there_may_be_fewer_times_than_asked_for() -> None:
    assert len(next_runs(Schedule(cron="@yearly", timezone="UTC"), at(9997, 6, 1).timestamp(), 5)) == 2
    assert next_runs(Schedule(), 0.0, 5) == ()
    assert next_runs(Schedule(every=1.0), 0.0, 0) == ()


def test_frequent_is_what_follows_the_clock_whatever_it_shows() -> None:
    assert is_frequent(Schedule(cron="*/5 * * * *"))
    assert is_frequent(Schedule(cron="30 * * * *"))
    assert is_frequent(Schedule(cron="* 0 2 * * *", cron_seconds=True))
    assert not is_frequent(Schedule(cron="30 2 * * *"))
    assert not is_frequent(Schedule(cron="@daily"))
    assert not is_frequent(Schedule(every=1.0))
