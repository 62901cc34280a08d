"""Schedules played through: against a second reckoning of who runs when, and through whatever may befall them."""

from __future__ import annotations

import json
import os
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.schedule.decide import LONGEST_HISTORY, MOST_WAITING, decide
from numen.schedule.schedule import MISSED, OVERLAP, QUEUE, REPLACE, SKIP, Schedule
from numen.schedule.state import (
    Action,
    Began,
    ClockSet,
    Ended,
    EndRun,
    Event,
    Now,
    Resumed,
    RunAsked,
    ScheduleChanged,
    ScheduleState,
    Started,
    StartRun,
    StopAsked,
    TimeCame,
    coming_runs,
    wake_times,
)
from schedule_reckoning import Reckoning, at

STEPS = 1_000_000 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 30_000
"""How many steps are played through; `make fuzz` plays a million."""

GRACE = 3
"""Seconds that a run takes to end when it is told to."""

FOREVER = 2**62


# Who runs when: a second reckoning, which knows nothing of states, events and clocks


def expected_starts(dues: list[int], durations: list[int], overlap: str) -> list[int]:
    """When runs start that are due at these times and take so long each; a run that is over makes way at once."""
    starts: list[int] = []
    ends: list[int] = []
    for due in dues:
        is_busy = bool(ends) and ends[-1] > due
        if overlap == SKIP and is_busy:
            continue
        if overlap == QUEUE and sum(1 for one in starts[-MOST_WAITING - 1 :] if one > due) >= MOST_WAITING:
            continue
        if overlap == REPLACE and is_busy:
            if starts[-1] > due:  # the one that replaces the last has not begun, and this one takes its place
                continue
            ends[-1] = min(ends[-1], due + GRACE)
        starts.append(max(due, ends[-1]) if ends else due)
        ends.append(starts[-1] + durations[len(starts) - 1])
    return starts


class Player:
    """Plays one schedule through; the clocks show whole seconds and jump to whatever comes next."""

    def __init__(self, schedule: Schedule, start: int, durations: list[int]) -> None:
        self.schedule, self.durations, self.time = schedule, durations, start
        self.state = ScheduleState()
        self.starts: list[int] = []
        self.ends_at = FOREVER
        self.steps = 0
        self.tell(Began())

    def tell(self, event: Event) -> None:
        # The monotonic clock is the wall clock here, so that both kinds of schedules are told alike.
        now = Now(wall=float(self.time), monotonic=float(self.time))
        self.state, actions = decide(self.schedule, self.state, event, now, chance=0.0)
        self.steps += 1
        for action in actions:
            match action:
                case StartRun(number=number):
                    assert number == len(self.starts) + 1
                    assert self.ends_at == FOREVER
                    self.ends_at = self.time + self.durations[len(self.starts)]
                    self.starts.append(self.time)
                case EndRun():
                    self.ends_at = min(self.ends_at, self.time + GRACE)

    def play(self, until: int) -> None:
        while True:
            wake = wake_times(self.schedule, self.state)
            due = min((time for time in (wake.wall, wake.monotonic) if time is not None), default=FOREVER)
            self.time = int(min(self.ends_at, due))
            if self.time > until:
                break
            if self.ends_at <= due:
                self.ends_at = FOREVER
                self.tell(Ended(number=len(self.starts), succeeded=True))
            else:
                self.tell(TimeCame())


SEASONS = [at(2026, 3, 25), at(2026, 10, 21), at(2026, 11, 24), at(2028, 2, 26), at(2026, 4, 1), at(2026, 10, 1)]
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]
EXPRESSIONS = [
    "* * * * *",
    "*/5 * * * *",
    "*/7 8-18 * * 1-5",
    "0,30 * * * *",
    "15 */2 * * *",
    "0,20,40 0-4 * * *",
    "30 2 * * *",
    "5-50/9 1-3 * * *",
    "0 0 29 * *",
]


@pytest.mark.fuzz
def test_many_schedules_run_when_a_second_reckoning_says() -> None:
    chooser, steps = random.Random(6), 0
    while steps < STEPS:
        overlap = chooser.choice(OVERLAP)
        begin = chooser.choice(SEASONS) + timedelta(minutes=chooser.randrange(2880))
        start, longest = int(begin.timestamp()), chooser.choice([1, 20, 400])
        durations = [chooser.randrange(longest) for _ in range(3000)]
        if chooser.random() < 0.5:
            every = chooser.randrange(1, 120)
            schedule = Schedule(every=float(every), overlap=overlap)
            until = start + every * 2000
            dues = list(range(start + every, until + 1, every))
        else:
            text, zone = chooser.choice(EXPRESSIONS), chooser.choice(ZONES)
            schedule = Schedule(cron=text, timezone=zone, overlap=overlap)
            until = start + 2000 * 60
            dues = [int(time) for time in Reckoning(text, zone).runs(begin, 2000)]
        player = Player(schedule, start, durations)
        player.play(until)
        steps += player.steps

        expected = expected_starts(dues, durations, overlap)
        assert player.starts == [time for time in expected if time <= until], (schedule, begin, longest)


def test_an_hour_of_an_interval_is_a_run_for_each_time_that_it_fits() -> None:
    player = Player(Schedule(every=7.0), 0, [1] * 600)
    player.play(3600)

    assert player.starts == list(range(7, 3601, 7))


# Whatever may befall


SCHEDULES = st.builds(
    Schedule,
    every=st.sampled_from([0.5, 7.0, 3600.0]),
    jitter=st.sampled_from([0.0, 0.25]),
    missed=st.sampled_from(MISSED),
    overlap=st.sampled_from(OVERLAP),
    timeout=st.none() | st.just(20.0),
    retries=st.integers(0, 3),
    at_start=st.booleans(),
) | st.builds(
    Schedule,
    cron=st.sampled_from(["*/5 * * * *", "30 2 * * *", "@daily", "0 2,3 * * *"]),
    timezone=st.sampled_from(ZONES),
    jitter=st.sampled_from([0.0, 600.0]),
    missed=st.sampled_from(MISSED),
    overlap=st.sampled_from(OVERLAP),
    timeout=st.none() | st.just(20.0),
    retries=st.integers(0, 3),
    at_start=st.booleans(),
)

HAPPENINGS = st.sampled_from(
    [
        "time",
        "time",
        "time",
        "wake",
        "wake",
        "wake",
        "ask",
        "started",
        "end",
        "fail",
        "begin",
        "stop",
        "finish",
        "change",
        "resume",
        "restart",
        "reboot",
        "set",
        "set",
    ]
)

PASSING = st.sampled_from([0.0, 0.1, 1.0, 20.0, 300.0, 4000.0, 90_000.0])
JUMPS = st.sampled_from([-400 * 86400.0, -20_000.0, -3600.0, -1.0, 1.0, 3600.0, 20_000.0, 400 * 86400.0])


class Ordeal:
    """One schedule under whatever happens; what must always hold is seen after each step."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.state = schedule, ScheduleState()
        self.now = Now(wall=at(2026, 3, 28, 22).timestamp(), monotonic=50.0)
        self.running: int | None = None
        self.is_told_to_end = False

    def tell(self, event: Event, chance: float = 0.5) -> None:
        state = ScheduleState.from_record(json.loads(json.dumps(self.state.record())))
        assert state == self.state
        self.state, actions = decide(self.schedule, state, event, self.now, chance)
        self.follow(event, actions)
        self.look(event)

    def follow(self, event: Event, actions: tuple[Action, ...]) -> None:
        if isinstance(event, Ended):
            assert event.number == self.running
            self.running = None
        if isinstance(event, Resumed):
            self.is_told_to_end = False
            if not event.run_lives:
                self.running = None
        for action in actions:
            match action:
                case StartRun(number=number):
                    assert self.running is None, "two runs at once"
                    self.running, self.is_told_to_end = number, False
                case EndRun(number=number):
                    assert number == self.running
                    assert not self.is_told_to_end, "ended twice"
                    self.is_told_to_end = True

    def look(self, event: Event) -> None:
        state = self.state
        assert (state.run.number if state.run else None) == self.running
        assert len(state.history) <= LONGEST_HISTORY
        assert len(state.waiting) <= MOST_WAITING
        assert not state.waiting or state.run is not None
        assert state.retry_at is None or state.run is None
        assert all(one.duration is None or one.duration >= 0 for one in state.history)
        assert (state.next_at is not None) == state.is_on
        coming = coming_runs(self.schedule, state, self.now, 3)
        assert list(coming) == sorted(set(coming))
        wake = wake_times(self.schedule, state)
        if isinstance(event, TimeCame | Resumed):
            # Else the caller would be woken again at once, for ever.
            assert wake.monotonic is None or wake.monotonic > self.now.monotonic
            assert wake.wall is None or wake.wall > self.now.wall
        if self.schedule.every is not None and state.is_on:
            assert state.next_at is not None
            assert state.next_at <= self.now.monotonic + self.schedule.every + 1e-6

    def wake(self) -> None:
        wake = wake_times(self.schedule, self.state)
        waits = [wake.monotonic - self.now.monotonic] if wake.monotonic is not None else []
        waits += [wake.wall - self.now.wall] if wake.wall is not None else []
        self.let_pass(max(0.0, min(waits, default=1.0)))
        self.tell(TimeCame())

    def let_pass(self, seconds: float) -> None:
        self.now = Now(wall=self.now.wall + seconds, monotonic=self.now.monotonic + seconds)

    def befall(self, happening: str, seconds: float, jump: float, other: Schedule) -> None:  # noqa: C901 - a case a happening
        self.let_pass(seconds)
        match happening:
            case "time":
                self.tell(TimeCame())
            case "wake":
                self.wake()
            case "ask":
                self.tell(RunAsked())
            case "started" if self.running is not None:
                self.tell(Started(number=self.running))
            case "end" | "fail" if self.running is not None:
                self.tell(Ended(number=self.running, succeeded=happening == "end"))
            case "begin":
                self.tell(Began())
            case "stop":
                self.tell(StopAsked())
            case "finish":
                self.tell(StopAsked(end_run=False))
            case "change":
                before, self.schedule = self.schedule, other
                self.tell(ScheduleChanged(before=before))
            case "resume":
                self.tell(Resumed(run_lives=self.running is not None))
            case "restart":
                self.tell(Resumed())
            case "reboot":
                self.now = Now(wall=self.now.wall + max(jump, 0.0), monotonic=3.0)
                self.tell(Resumed(is_same_boot=False))
            case "set":
                self.now = self.now.replace(wall=self.now.wall + jump)
                self.tell(ClockSet())


@given(SCHEDULES, SCHEDULES, st.lists(st.tuples(HAPPENINGS, PASSING, JUMPS), max_size=40))
def test_whatever_befalls_a_schedule_never_two_runs_go_on(
    schedule: Schedule, other: Schedule, happenings: list[tuple[str, float, float]]
) -> None:
    ordeal = Ordeal(schedule)
    ordeal.tell(Began())
    for happening, seconds, jump in happenings:
        ordeal.befall(happening, seconds, jump, other)


@given(SCHEDULES, st.lists(st.tuples(HAPPENINGS, PASSING, JUMPS), max_size=20))
def test_after_whatever_befell_it_a_schedule_that_begins_runs_again(
    schedule: Schedule, happenings: list[tuple[str, float, float]]
) -> None:
    ordeal = Ordeal(schedule)
    for happening, seconds, jump in happenings:
        ordeal.befall(happening, seconds, jump, schedule)
    ordeal.tell(Began())
    while ordeal.running is not None:
        ordeal.tell(Ended(number=ordeal.running, succeeded=True))
    runs = ordeal.state.runs
    for _ in range(3):
        ordeal.wake()

    assert ordeal.state.runs > runs
