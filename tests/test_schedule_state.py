"""A schedule's state as data: written down, read back, and what can be told of it."""

from __future__ import annotations

import json

from numen.schedule.schedule import Schedule
from numen.schedule.state import (
    Entry,
    Now,
    Run,
    ScheduleState,
    Waiting,
    WakeTimes,
    coming_runs,
    wake_times,
)

NOW = Now(wall=5000.0, monotonic=100.0)
RUN = Run(number=3, why="due", due=4990.0, since=4991.0, started_at=91.0, deadline=151.0)
FULL = ScheduleState(
    is_on=True,
    anchor=7.0,
    next_at=127.0,
    due_at=128.5,
    next_wall=5027.0,
    done_until=4000.0,
    run=RUN,
    waiting=(Waiting(why="asked", due=4999.0),),
    attempt=2,
    runs=3,
    history=(Entry(at=4000.0, outcome="failed", number=2, status=-15, duration=0.5), Entry(at=1.0, outcome="skipped")),
)


def test_a_state_that_is_written_down_is_read_back_as_the_same() -> None:
    assert ScheduleState.from_record(json.loads(json.dumps(FULL.record()))) == FULL
    assert ScheduleState.from_record(json.loads(json.dumps(ScheduleState().record()))) == ScheduleState()


def test_what_has_its_default_is_not_written() -> None:
    assert ScheduleState().record() == {}
    assert FULL.replace(waiting=(), history=()).record().keys().isdisjoint({"waiting", "history", "retry_at"})


def test_the_soonest_of_all_that_is_waited_for_is_the_time_to_wake() -> None:
    interval, calendar = Schedule(every=30.0), Schedule(cron="@daily")

    assert wake_times(interval, FULL) == WakeTimes(monotonic=128.5)
    assert wake_times(interval, FULL.replace(retry_at=101.0)) == WakeTimes(monotonic=101.0)
    assert wake_times(calendar, FULL.replace(due_at=9999.0)) == WakeTimes(monotonic=151.0, wall=9999.0)
    assert wake_times(calendar, ScheduleState()) == WakeTimes()


def test_the_coming_runs_of_an_interval_are_told_by_the_wall_clock() -> None:
    assert coming_runs(Schedule(every=30.0), FULL, NOW, 3) == (5027.0, 5057.0, 5087.0)
    assert coming_runs(Schedule(every=30.0), FULL, NOW, 0) == ()
    assert coming_runs(Schedule(every=30.0), FULL.replace(is_on=False), NOW, 3) == ()


def test_the_coming_runs_of_a_calendar_begin_with_the_one_that_is_delayed() -> None:
    assert coming_runs(Schedule(cron="@hourly", timezone="UTC"), FULL.replace(next_at=3600.0), NOW, 2) == (
        3600.0,
        7200.0,
    )
