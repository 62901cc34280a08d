"""What follows when a run's time comes, when it ends, when it is missed, and when clocks are set."""

from __future__ import annotations

import pytest

from numen.schedule.decide import CORRECTION, LONGEST_HISTORY, MOST_WAITING, PUNCTUAL, decide
from numen.schedule.schedule import QUEUE, REPLACE, RUN_ONCE, SKIP, Schedule
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
    SkipRun,
    Started,
    StartRun,
    StopAsked,
    TimeCame,
    WakeTimes,
    coming_runs,
    wake_times,
)
from schedule_reckoning import at

HALF_MINUTE = Schedule(every=30.0)
NOON = Schedule(cron="0 12 * * *", timezone="UTC")
OFTEN = Schedule(cron="*/5 * * * *", timezone="UTC")

MORNING = at(2026, 11, 24, 10).timestamp()
HOUR, DAY = 3600.0, 86400.0


class Story:
    """One schedule, and what happens to it; the test moves the clocks."""

    def __init__(self, schedule: Schedule, *, begins: bool = True) -> None:
        self.schedule, self.state = schedule, ScheduleState()
        self.now = Now(wall=MORNING, monotonic=1000.0)
        self.first = self.tell(Began()) if begins else ()

    def tell(self, event: Event, chance: float = 0.0) -> tuple[Action, ...]:
        """Let it happen, after a state that was written down and read back."""
        state = ScheduleState.from_record(self.state.record())
        assert state == self.state
        self.state, actions = decide(self.schedule, state, event, self.now, chance)
        return actions

    def after(self, seconds: float, event: Event | None = None, chance: float = 0.0) -> tuple[Action, ...]:
        """Let time go on, by both clocks, and then let it happen."""
        self.now = Now(wall=self.now.wall + seconds, monotonic=self.now.monotonic + seconds)
        return self.tell(event or TimeCame(), chance)

    def set_clock(self, seconds: float) -> tuple[Action, ...]:
        self.now = self.now.replace(wall=self.now.wall + seconds)
        return self.tell(ClockSet())

    def end(self, *, succeeded: bool = True, status: int = 0, chance: float = 0.0) -> tuple[Action, ...]:
        """Let the run that goes on end."""
        assert self.state.run is not None
        return self.tell(Ended(number=self.state.run.number, succeeded=succeeded, status=status), chance)

    def outcomes(self) -> list[tuple[str, str, int]]:
        return [(one.outcome, one.reason or one.why, one.count) for one in self.state.history]

    def coming(self) -> list[float]:
        return [time - MORNING for time in coming_runs(self.schedule, self.state, self.now, 3)]


def start(number: int, why: str = "due", attempt: int = 0) -> StartRun:
    return StartRun(number=number, why=why, attempt=attempt)


def interval(**more: object) -> Story:
    return Story(HALF_MINUTE.replace(**more))


def calendar(**more: object) -> Story:
    return Story(NOON.replace(**more))


# Being due


def test_an_interval_is_due_first_when_it_has_passed_once() -> None:
    story = interval()

    assert story.first == ()
    assert wake_times(story.schedule, story.state) == WakeTimes(monotonic=1030.0)
    assert story.after(29.9) == ()
    assert story.after(0.1) == (start(1),)


def test_an_interval_keeps_its_phase_when_one_comes_late() -> None:
    story = interval()
    story.after(37.0)
    story.end()

    assert wake_times(story.schedule, story.state) == WakeTimes(monotonic=1060.0)


def test_a_calendar_is_due_by_the_wall_clock() -> None:
    story = calendar()

    assert wake_times(story.schedule, story.state) == WakeTimes(wall=MORNING + 2 * HOUR)
    assert story.after(2 * HOUR - 1) == ()
    assert story.after(1) == (start(1),)
    assert wake_times(story.schedule, story.state) == WakeTimes(wall=MORNING + 26 * HOUR)


def test_it_runs_at_once_where_that_is_wanted_and_then_in_its_phase() -> None:
    story = interval(at_start=True)

    assert story.first == (start(1, "start"),)
    assert story.coming() == [30.0, 60.0, 90.0]


def test_it_begins_once() -> None:
    story = interval(at_start=True)

    assert story.after(10, Began()) == ()
    assert story.coming() == [30.0, 60.0, 90.0]


def test_a_delay_is_drawn_for_each_run_and_moves_no_other() -> None:
    story = interval(jitter=10.0)
    assert story.after(30, chance=0.5) == (start(1),)
    story.end()

    assert story.state.due_at == 1065.0
    assert story.coming() == [60.0, 90.0, 120.0]
    assert story.after(30) == ()
    assert story.after(5) == (start(2),)


def test_no_delay_puts_off_a_run_past_the_next_one() -> None:
    story = Story(OFTEN.replace(jitter=DAY), begins=False)
    story.tell(Began(), chance=0.999)

    assert story.state.due_at == pytest.approx(MORNING + 300 + 0.999 * 300)


def test_the_history_tells_when_it_ran_how_long_and_how_it_ended() -> None:
    story = interval()
    story.after(30)
    story.after(1, Started(number=1))
    story.after(4)
    story.end(succeeded=False, status=3)

    (entry,) = story.state.history
    assert (entry.at, entry.duration, entry.status) == (MORNING + 31, 4.0, 3)
    assert (entry.outcome, entry.why, entry.number) == ("failed", "due", 1)


def test_the_history_keeps_the_last_ones() -> None:
    story = interval()
    for _ in range(LONGEST_HISTORY + 5):
        story.after(30)
        story.end()

    assert [one.number for one in story.state.history] == list(range(6, LONGEST_HISTORY + 6))


def test_an_end_that_belongs_to_another_run_means_nothing() -> None:
    story = interval()
    story.after(30)

    assert story.tell(Ended(number=7, succeeded=True)) == ()
    assert story.tell(Started(number=7)) == ()
    assert story.state.run is not None
    story.end()
    assert story.tell(Ended(number=1, succeeded=True)) == ()
    assert len(story.state.history) == 1


# Asked now


def test_somebody_can_let_it_run_now_which_changes_no_time() -> None:
    story = interval()

    assert story.after(10, RunAsked()) == (start(1, "asked"),)
    assert story.coming() == [30.0, 60.0, 90.0]


def test_one_that_is_off_can_be_run_too() -> None:
    story = Story(HALF_MINUTE, begins=False)

    assert story.tell(RunAsked()) == (start(1, "asked"),)
    assert story.end() == ()
    assert story.after(100) == ()


# Overlap


def test_while_one_runs_the_next_is_skipped() -> None:
    story = interval()
    story.after(30)

    assert story.after(30) == (SkipRun(reason="the last one was still running"),)
    assert story.after(30) == (SkipRun(reason="the last one was still running"),)
    assert story.tell(RunAsked()) == (SkipRun(reason="the last one was still running"),)
    assert story.end() == ()
    assert [one[0::2] for one in story.outcomes()] == [("skipped", 2), ("skipped", 1), ("done", 1)]
    assert story.after(30) == (start(2),)


def test_while_one_runs_the_next_waits_in_a_queue() -> None:
    story = interval(overlap=QUEUE)
    story.after(30)

    assert story.after(30) == ()
    assert story.tell(RunAsked()) == ()
    assert story.end() == (start(2),)
    assert story.end() == (start(3, "asked"),)
    assert story.end() == ()


def test_a_queue_is_not_endless() -> None:
    story = interval(overlap=QUEUE)
    story.after(30)
    for _ in range(MOST_WAITING):
        assert story.after(30) == ()

    assert story.after(30) == (SkipRun(reason="too many are waiting"),)


def test_the_last_one_is_ended_and_replaced_by_the_next_as_soon_as_it_is_gone() -> None:
    story = interval(overlap=REPLACE, retries=3)
    story.after(30)

    assert story.after(30) == (EndRun(number=1, why="replaced"),)
    assert story.after(30) == ()
    assert story.end(succeeded=False) == (start(2),)
    assert story.outcomes() == [("replaced", "due", 1)]
    assert story.end() == ()


# Timeouts and retries


def test_one_that_takes_too_long_is_ended_once_and_has_failed() -> None:
    story = interval(timeout=5.0)
    story.after(30)
    story.after(2, Started(number=1))

    assert wake_times(story.schedule, story.state) == WakeTimes(monotonic=1037.0)
    assert story.after(4.9) == ()
    assert story.after(0.1) == (EndRun(number=1, why="timeout"),)
    assert story.after(1) == ()
    assert story.end() == ()
    assert story.outcomes() == [("timeout", "due", 1)]


def test_one_that_failed_is_tried_again_after_waits_that_grow() -> None:
    story = interval(every=1000.0, retries=4, retry_first=2.0, retry_longest=6.0)
    story.after(1000)
    waits = []
    for attempt in range(1, 5):
        assert story.end(succeeded=False) == ()
        assert story.state.retry_at is not None
        waits.append(story.state.retry_at - story.now.monotonic)
        assert story.after(waits[-1] - 0.5) == ()
        assert story.after(0.5) == (start(attempt + 1, "retry", attempt),)

    assert waits == [2.0, 4.0, 6.0, 6.0]
    assert story.end(succeeded=False) == ()
    assert story.state.retry_at is None


def test_a_wait_is_a_random_part_of_its_bound() -> None:
    story = interval(retries=1, retry_first=2.0)
    story.after(30)
    story.end(succeeded=False, chance=0.75)

    assert story.state.retry_at == 1030.5


def test_after_a_retry_that_went_well_all_is_as_before() -> None:
    story = interval(every=1000.0, retries=1)
    story.after(1000)
    story.end(succeeded=False)
    story.after(1)
    story.end()
    story.after(999)

    assert story.end(succeeded=False) == ()
    assert story.state.retry_at is not None


def test_a_retry_that_waits_gives_way_to_the_next_run() -> None:
    story = interval(retries=5, retry_first=30.0)
    story.after(31)
    story.end(succeeded=False)

    assert story.after(29) == (start(2),)
    assert story.state.retry_at is None


# Stopping and changing


def test_stopped_it_is_not_due_and_what_runs_is_ended() -> None:
    story = interval(overlap=QUEUE, retries=3)
    story.after(30)
    story.after(30)

    assert story.tell(StopAsked()) == (EndRun(number=1, why="stopped"),)
    assert story.end(succeeded=False) == ()
    assert wake_times(story.schedule, story.state) == WakeTimes()
    assert coming_runs(story.schedule, story.state, story.now, 5) == ()
    assert story.after(1000) == ()
    assert story.tell(Began()) == ()
    assert story.after(30) == (start(2),)


def test_what_runs_may_finish() -> None:
    story = interval(retries=3)
    story.after(30)

    assert story.tell(StopAsked(end_run=False)) == ()
    assert story.end(succeeded=False) == ()
    assert story.outcomes() == [("failed", "due", 1)]
    assert story.state.retry_at is None


def test_wanted_again_while_it_is_being_stopped_it_runs_as_soon_as_it_is_gone() -> None:
    story = interval()
    story.after(30)
    story.tell(StopAsked())

    assert story.tell(RunAsked()) == ()
    assert story.end() == (start(2, "asked"),)


def test_a_change_that_moves_no_time_keeps_the_phase() -> None:
    story = interval()
    story.after(30)
    before, story.schedule = story.schedule, story.schedule.replace(timeout=20.0, retries=1)

    assert story.after(10, ScheduleChanged(before=before)) == ()
    assert story.coming() == [60.0, 90.0, 120.0]
    assert story.after(10) == (EndRun(number=1, why="timeout"),)


def test_another_interval_or_calendar_begins_anew() -> None:
    story = interval()
    before, story.schedule = story.schedule, HALF_MINUTE.replace(every=50.0)
    story.after(10, ScheduleChanged(before=before))
    assert story.coming() == [60.0, 110.0, 160.0]

    before, story.schedule = story.schedule, NOON
    story.tell(ScheduleChanged(before=before))
    assert story.coming() == [2 * HOUR, 26 * HOUR, 50 * HOUR]

    before, story.schedule = story.schedule, HALF_MINUTE
    story.tell(ScheduleChanged(before=before))
    assert story.coming() == [40.0, 70.0, 100.0]


# Missed


@pytest.mark.parametrize("missed", [SKIP, RUN_ONCE])
def test_a_little_late_is_not_missed(missed: str) -> None:
    assert calendar(missed=missed).after(2 * HOUR + PUNCTUAL) == (start(1),)
    assert interval(missed=missed).after(30 + PUNCTUAL - 1) == (start(1),)


def test_what_was_missed_is_skipped_and_noted() -> None:
    story = calendar()

    assert story.after(3 * DAY, Resumed()) == (SkipRun(reason="its time was missed", count=3),)
    assert story.outcomes() == [("skipped", "its time was missed", 3)]
    assert story.state.history[0].at == MORNING + 2 * HOUR
    assert story.coming()[0] == 3 * DAY + 2 * HOUR


def test_what_was_missed_is_made_up_for_once() -> None:
    story = calendar(missed=RUN_ONCE)

    assert story.after(3 * DAY, Resumed()) == (SkipRun(reason="its time was missed", count=2), start(1, "missed"))
    assert story.end() == ()
    assert story.coming()[0] == 3 * DAY + 2 * HOUR


def test_of_many_that_passed_the_last_one_runs_if_it_is_its_time() -> None:
    story = interval(every=1.0)

    assert story.after(20.5) == (SkipRun(reason="its time was missed", count=19), start(1))
    assert story.coming()[0] == 21.0
    story.end()
    assert story.after(100) == (SkipRun(reason="its time was missed", count=99), start(2))


def test_years_of_missed_minutes_are_told_in_a_moment() -> None:
    story = Story(Schedule(cron="* * * * *", timezone="UTC", missed=RUN_ONCE))

    assert story.after(400 * DAY + 45, Resumed())[-1] == start(1, "missed")
    assert story.coming()[0] == 400 * DAY + 60


def test_of_countless_ones_too_the_last_one_runs_if_it_is_its_time() -> None:
    story = Story(Schedule(cron="* * * * *", timezone="UTC"))

    assert story.after(400 * DAY + 5, Resumed())[-1] == start(1)


# Going on after a restart, and after a reboot


def test_a_run_that_lives_goes_on_under_the_next_process() -> None:
    story = interval(timeout=100.0)
    story.after(30)

    assert story.after(5, Resumed(run_lives=True)) == ()
    assert story.after(5) == ()
    assert story.end() == ()
    assert story.outcomes() == [("done", "due", 1)]


def test_a_run_that_was_to_be_ended_is_ended_again() -> None:
    story = interval(timeout=10.0)
    story.after(30)
    story.after(10)

    assert story.after(5, Resumed(run_lives=True)) == (EndRun(number=1, why="timeout"),)


def test_a_run_that_is_gone_was_lost_and_is_tried_again() -> None:
    story = interval(retries=1)
    story.after(30)

    assert story.after(5, Resumed()) == ()
    assert story.outcomes() == [("lost", "due", 1)]
    assert story.after(1) == (start(2, "retry", 1),)


def reboot(story: Story, seconds: float) -> tuple[Action, ...]:
    """The machine is off for so long, and its monotonic clock begins anew."""
    story.now = Now(wall=story.now.wall + seconds, monotonic=5.0)
    return story.tell(Resumed(is_same_boot=False))


def test_an_interval_keeps_its_phase_over_a_reboot() -> None:
    story = interval(every=HOUR)
    story.after(10)

    assert reboot(story, 600) == ()
    assert story.coming() == [HOUR, 2 * HOUR, 3 * HOUR]
    assert wake_times(story.schedule, story.state) == WakeTimes(monotonic=5.0 + HOUR - 610)


def test_an_interval_that_passed_while_the_machine_was_off_was_missed() -> None:
    story = interval(every=HOUR, missed=RUN_ONCE)

    assert reboot(story, 2.5 * HOUR) == (SkipRun(reason="its time was missed", count=1), start(1, "missed"))
    assert story.coming()[0] == 3 * HOUR


def test_a_wall_clock_that_was_lost_puts_off_no_interval_for_longer_than_itself() -> None:
    story = interval(every=HOUR)

    assert reboot(story, -20 * 365 * DAY) == ()
    assert wake_times(story.schedule, story.state) == WakeTimes(monotonic=5.0 + HOUR)


def test_a_retry_and_a_queue_survive_a_reboot() -> None:
    story = interval(every=HOUR, retries=2, retry_first=60.0)
    story.after(HOUR)
    story.end(succeeded=False)

    assert reboot(story, 10) == (start(2, "retry", 1),)

    story = interval(every=HOUR, overlap=QUEUE)
    story.after(HOUR)
    story.tell(RunAsked())
    assert reboot(story, 10) == (start(2, "asked"),)


# The wall clock is set


def test_setting_the_wall_clock_moves_no_interval() -> None:
    story = interval()

    assert story.set_clock(-5 * DAY) == ()
    assert story.set_clock(20 * DAY) == ()
    assert wake_times(story.schedule, story.state) == WakeTimes(monotonic=1030.0)
    assert story.after(30) == (start(1),)


def test_a_clock_that_is_set_forward_over_a_time_has_missed_it() -> None:
    assert calendar().set_clock(5 * HOUR) == (SkipRun(reason="its time was missed"),)
    assert calendar(missed=RUN_ONCE).set_clock(5 * HOUR) == (start(1, "missed"),)


def test_a_clock_that_is_set_back_a_little_lets_no_time_come_twice() -> None:
    story = calendar()
    story.after(2 * HOUR)
    story.end()

    assert story.set_clock(-HOUR) == ()
    assert story.after(HOUR) == ()
    assert story.coming()[0] == 26 * HOUR


def test_a_clock_that_is_set_back_far_was_wrong_before() -> None:
    story = calendar()
    story.after(2 * HOUR)
    story.end()

    assert story.set_clock(-CORRECTION - 1) == ()
    assert story.after(CORRECTION + 1) == (start(2),)


def test_an_often_repeated_time_follows_the_clock_that_is_set_back() -> None:
    story = Story(OFTEN)
    story.after(300)
    story.end()

    story.set_clock(-HOUR)
    assert story.after(300) == (start(2),)


def test_a_clock_that_was_set_back_unheard_is_seen_at_the_next_chance() -> None:
    story = calendar()
    story.now = story.now.replace(wall=MORNING - 23 * HOUR)

    assert story.tell(TimeCame()) == ()
    assert story.coming()[0] == -22 * HOUR


def test_a_clock_far_in_the_future_is_no_end_of_all_times() -> None:
    story = Story(NOON, begins=False)
    story.now = story.now.replace(wall=at(9999, 12, 31, 23).timestamp())
    story.tell(Began())
    assert story.state.next_at is None

    story.now = story.now.replace(wall=MORNING)
    story.tell(ClockSet())
    assert story.coming()[0] == 2 * HOUR


def test_a_delayed_run_is_not_forgotten_when_the_clock_is_set_a_little() -> None:
    story = calendar(jitter=HOUR)
    story.tell(StopAsked())
    story.tell(Began(), chance=0.5)
    story.after(2 * HOUR)

    assert story.set_clock(60) == ()
    assert story.set_clock(-30) == ()
    assert story.after(HOUR / 2) == (start(1),)
