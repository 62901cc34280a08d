"""A schedule's state as data: what comes next, what runs, what was; what can happen to it, and what must follow.

`decide` makes a state from a state; nothing here decides or reads a clock. The state is written down after each step
and read back by the next process, after a reboot too.
"""

from __future__ import annotations

from ..record import Record
from .times import next_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .schedule import Schedule

DUE, ASKED, RETRY, MISSED_RUN, AT_START = "due", "asked", "retry", "missed", "start"
"""Why something runs: its time came, somebody asked, the last try failed, its time was missed, the schedule began."""

DONE, FAILED, TIMED_OUT, REPLACED, STOPPED, LOST, SKIPPED = (
    "done",
    "failed",
    "timeout",
    "replaced",
    "stopped",
    "lost",
    "skipped",
)
"""What came of a run; one that is lost ended while nobody was there to see."""

OVERLAPPED, MISSED, QUEUE_FULL = "the last one was still running", "its time was missed", "too many are waiting"
"""Why one was skipped."""


class Now(Record):
    """What the clocks show: the wall clock in seconds since the epoch, and CLOCK_MONOTONIC."""

    wall: float
    monotonic: float


class Run(Record):
    """A run that goes on."""

    number: int
    why: str
    due: float
    """The wall clock when it was due."""
    attempt: int = 0
    """0 for the first try, 1 for the first retry."""
    since: float
    """The wall clock when it started."""
    started_at: float
    """CLOCK_MONOTONIC when it started."""
    deadline: float | None = None
    """CLOCK_MONOTONIC at which it has had its time."""
    ending: str = ""
    """Why it is being ended: TIMED_OUT, REPLACED, STOPPED; empty while it is not."""


class Waiting(Record):
    """A run that waits until the last one has ended."""

    why: str
    due: float


class Entry(Record):
    """One line of the history: a run, or runs that were skipped."""

    at: float
    """The wall clock when it started, or was due."""
    outcome: str
    number: int | None = None
    why: str = DUE
    attempt: int = 0
    duration: float | None = None
    status: int | None = None
    """The exit status, or the signal as a negative number."""
    reason: str = ""
    """Why it was skipped, or could not be started."""
    count: int = 1
    """How many were skipped together."""


class ScheduleState(Record):
    """What is so with one schedule."""

    is_on: bool = False
    """Whether times that come are acted upon."""
    anchor: float = 0.0
    """CLOCK_MONOTONIC from which the phase of an interval is counted."""
    next_at: float | None = None
    """When it is due next, without its delay, by the schedule's own clock."""
    due_at: float | None = None
    """The same with the delay that was drawn for it."""
    next_wall: float | None = None
    """The same as `next_at` by the wall clock, as it was last reckoned: the bridge over a reboot."""
    done_until: float | None = None
    """For a calendar: the wall clock up to which its times have been dealt with."""
    run: Run | None = None
    waiting: tuple[Waiting, ...] = ()
    retry_at: float | None = None
    """CLOCK_MONOTONIC at which the last run is tried again."""
    attempt: int = 0
    """Which try that will be."""
    runs: int = 0
    """How many were started, retries counted."""
    history: tuple[Entry, ...] = ()
    """The latest last."""

    def record(self) -> dict[str, Any]:
        """The state as what JSON can hold; what has its default is left out."""
        changed = {name: value for name, value in self.values().items() if value != getattr(ScheduleState, name)}
        if self.run is not None:
            changed["run"] = self.run.values()
        for name in ("waiting", "history"):
            if name in changed:
                changed[name] = [dict(one.__dict__) for one in changed[name]]
        return changed

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> ScheduleState:
        """The state that record() has written."""
        values = dict(record)
        if values.get("run") is not None:
            values["run"] = Run(**values["run"])
        values["waiting"] = tuple(Waiting(**one) for one in values.get("waiting", ()))
        values["history"] = tuple(Entry(**one) for one in values.get("history", ()))
        return cls(**values)


class Event(Record):
    """Something that happened."""


class Began(Event):
    """From here on it is to run by its schedule: for the first time, or again after StopAsked."""


class StopAsked(Event):
    """From here on it is not to run by its schedule."""

    end_run: bool = True
    """Whether a run that goes on is ended; else it may finish."""


class EndAsked(Event):
    """The run that goes on, if one does, is not to go on; what is due later runs as before."""


class ScheduleChanged(Event):
    """The schedule is another one now; what runs goes on."""

    before: Schedule


class Resumed(Event):
    """A new process goes on with the state."""

    is_same_boot: bool = True
    """Whether the machine has run on since: else CLOCK_MONOTONIC has begun anew."""
    run_lives: bool = False
    """Whether the run that went on is known to go on still."""


class TimeCame(Event):
    """One of wake_times() has come; too early or too often does no harm."""


class ClockSet(Event):
    """The wall clock was set."""


class RunAsked(Event):
    """Somebody wants it to run now."""


class Started(Event):
    """The run has begun; its time counts from here."""

    number: int


class Ended(Event):
    """The run has ended."""

    number: int
    succeeded: bool
    status: int | None = None
    reason: str = ""
    """Why it could not be started, or what it failed of."""


class Action(Record):
    """Something that must follow."""


class StartRun(Action):
    """Start it; Started and Ended tell of it by this number."""

    number: int
    why: str
    attempt: int = 0


class EndRun(Action):
    """End the run; Ended must follow."""

    number: int
    why: str


class SkipRun(Action):
    """Nothing is started; tell who asked, and the log."""

    reason: str
    count: int = 1


class WakeTimes(Record):
    """When TimeCame must be told next, by each of the clocks; `None` where nothing is waited for."""

    monotonic: float | None = None
    wall: float | None = None


def wake_times(schedule: Schedule, state: ScheduleState) -> WakeTimes:
    """When the state has to be looked at again."""
    soonest = [state.retry_at, state.run.deadline if state.run else None]
    if schedule.every is not None:
        soonest.append(state.due_at)
    return WakeTimes(
        monotonic=min((time for time in soonest if time is not None), default=None),
        wall=None if schedule.every is not None else state.due_at,
    )


def coming_runs(schedule: Schedule, state: ScheduleState, now: Now, count: int) -> tuple[float, ...]:
    """The next times at which it is due, by the wall clock, without delays; none where it is off."""
    if not state.is_on or state.next_at is None or count < 1:
        return ()
    times = (state.next_at, *next_runs(schedule, state.next_at, count - 1, state.anchor))
    if schedule.every is None:
        return times
    return tuple(now.wall + (time - now.monotonic) for time in times)
