"""What must follow when something happens to a schedule: a pure function from a state to the next.

No clock, no I/O and no randomness are in here: `now` is what the clocks show, `chance` a number in [0, 1), and both
come from the caller, who writes the new state down before he carries out the actions. At no time do two runs go on:
StartRun is told only where the last run has Ended.
"""

from __future__ import annotations

from .schedule import QUEUE, REPLACE, SKIP, TIMING
from .state import (
    ASKED,
    AT_START,
    DONE,
    DUE,
    FAILED,
    LOST,
    MISSED,
    MISSED_RUN,
    OVERLAPPED,
    QUEUE_FULL,
    REPLACED,
    RETRY,
    SKIPPED,
    STOPPED,
    TIMED_OUT,
    Action,
    Began,
    ClockSet,
    EndAsked,
    Ended,
    EndRun,
    Entry,
    Event,
    Now,
    Resumed,
    Run,
    RunAsked,
    ScheduleChanged,
    ScheduleState,
    SkipRun,
    Started,
    StartRun,
    StopAsked,
    TimeCame,
    Waiting,
)
from .times import is_frequent, next_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .schedule import Schedule

    Step = tuple[ScheduleState, tuple[Action, ...]]

PUNCTUAL = 30.0
"""Seconds; found no later than that after its time, a run was not missed: the caller was busy, or just restarted."""

CORRECTION = 3 * 3600.0
"""Seconds; a clock that is set back by more was wrong before, and its times come again (cron(8))."""

LONGEST_HISTORY = 20
MOST_WAITING = 10
MOST_COUNTED = 1000
"""More missed times of a calendar are not counted one by one."""

MOST_DOUBLINGS = 32
"""More would only make the number unwieldy: long before, the longest wait bounds it."""


def decide(schedule: Schedule, state: ScheduleState, event: Event, now: Now, chance: float) -> Step:
    """The next state, and what must follow."""
    match event:
        case Began():
            step = on_began(schedule, state, now, chance)
        case StopAsked():
            step = on_stop_asked(state, event)
        case EndAsked():
            step = _end(state, STOPPED)
        case ScheduleChanged():
            step = on_schedule_changed(schedule, state, event, now, chance)
        case Resumed():
            step = on_resumed(schedule, state, event, now, chance)
        case TimeCame():
            step = on_time_came(schedule, state, now, chance)
        case ClockSet():
            step = _on_due(schedule, state, now, chance)
        case RunAsked():
            step = _run_or_wait(schedule, state, Waiting(why=ASKED, due=now.wall), now)
        case Started():
            step = on_started(schedule, state, event, now)
        case Ended():
            step = on_ended(schedule, state, event, now, chance)
        case _:
            raise AssertionError(f"nobody has decided on {event}")
    state, actions = step
    if schedule.every is not None and state.next_at is not None:
        state = state.replace(next_wall=now.wall + (state.next_at - now.monotonic))
    return state, actions


def on_began(schedule: Schedule, state: ScheduleState, now: Now, chance: float) -> Step:
    """Reckon when it is due first; run it at once where that is wanted."""
    if state.is_on:
        return state, ()
    begun = _from_here(schedule, state.replace(is_on=True), now, chance)
    if not schedule.at_start:
        return begun, ()
    return _run_or_wait(schedule, begun, Waiting(why=AT_START, due=now.wall), now)


def on_stop_asked(state: ScheduleState, event: StopAsked) -> Step:
    """Nothing is due any more, and nothing waits; what runs is ended, or may finish."""
    stopped = state.replace(is_on=False, next_at=None, due_at=None, next_wall=None, retry_at=None, waiting=())
    return _end(stopped, STOPPED) if event.end_run else (stopped, ())


def on_schedule_changed(
    schedule: Schedule, state: ScheduleState, event: ScheduleChanged, now: Now, chance: float
) -> Step:
    """Reckon anew when it is due, if that is what changed; the run that goes on has the new limit from its start."""
    run = state.run
    if run is not None and not run.ending:
        state = state.replace(run=run.replace(deadline=_deadline(schedule, run.started_at)))
    is_timed_alike = all(getattr(schedule, name) == getattr(event.before, name) for name in TIMING)
    if not state.is_on or is_timed_alike:
        return state, ()
    return _from_here(schedule, state, now, chance), ()


def on_resumed(schedule: Schedule, state: ScheduleState, event: Resumed, now: Now, chance: float) -> Step:
    """Go on: what was lost is noted, what was missed is made up for or not, as the schedule says."""
    if not event.is_same_boot:
        state = _in_this_boot(schedule, state, now)
    actions: tuple[Action, ...] = ()
    if state.run is not None and not (event.run_lives and event.is_same_boot):
        # Nobody has seen when it ended.
        state, actions = _finish(schedule, state, _entry(state.run, LOST, None), now, chance)
    elif state.run is not None and state.run.ending:
        # A run that is to be ended and lives: whether that was done before, nobody knows.
        actions = (EndRun(number=state.run.number, why=state.run.ending),)
    elif state.run is None and state.waiting:
        # The last process ended amidst it all, and left this for the next.
        first, *others = state.waiting
        state, actions = _start(schedule, state.replace(waiting=tuple(others)), first, now)
    state, more = on_time_came(schedule, state, now, chance)
    return state, (*actions, *more)


def on_time_came(schedule: Schedule, state: ScheduleState, now: Now, chance: float) -> Step:
    """See which of the times has come: the run's limit, the schedule's next, a retry's."""
    actions: tuple[Action, ...] = ()
    run = state.run
    if run is not None and run.deadline is not None and run.deadline <= now.monotonic:
        state, actions = _end(state, TIMED_OUT)
    state, more = _on_due(schedule, state, now, chance)
    if state.retry_at is not None and state.retry_at <= now.monotonic:
        state, start = _start(schedule, state, Waiting(why=RETRY, due=now.wall), now, attempt=state.attempt)
        more = (*more, *start)
    return state, (*actions, *more)


def on_started(schedule: Schedule, state: ScheduleState, event: Started, now: Now) -> Step:
    """The time of the run counts from here."""
    run = state.run
    if run is None or run.number != event.number:
        return state, ()
    deadline = None if run.ending else _deadline(schedule, now.monotonic)
    return state.replace(run=run.replace(since=now.wall, started_at=now.monotonic, deadline=deadline)), ()


def on_ended(schedule: Schedule, state: ScheduleState, event: Ended, now: Now, chance: float) -> Step:
    """Note how it ended; start what waits, or try again where it failed."""
    run = state.run
    if run is None or run.number != event.number:
        return state, ()
    # What is being ended may well end with status 0: it was ended all the same.
    outcome = run.ending or (DONE if event.succeeded else FAILED)
    entry = _entry(run, outcome, max(0.0, now.monotonic - run.started_at), status=event.status, reason=event.reason)
    return _finish(schedule, state, entry, now, chance)


def _on_due(schedule: Schedule, state: ScheduleState, now: Now, chance: float) -> Step:
    """Run it where its time has come; where the wall clock was set, reckon anew."""
    clock = now.monotonic if schedule.every is not None else now.wall
    if not state.is_on:
        return state, ()
    if state.due_at is None or state.next_at is None or state.due_at > clock:
        return _with_clock_set_back(schedule, state, now, chance), ()
    first, count, is_late = _passed(schedule, state, clock)
    state = _reckoned(schedule, state, clock, now, chance)
    first_wall = now.wall + (first - clock)
    if is_late and schedule.missed == SKIP:
        return _missed(state, first_wall, count)
    state, missed = _missed(state, first_wall, count - 1)
    wanted = Waiting(why=MISSED_RUN, due=first_wall) if is_late else Waiting(why=DUE, due=now.wall)
    state, actions = _run_or_wait(schedule, state, wanted, now)
    return state, (*missed, *actions)


def _passed(schedule: Schedule, state: ScheduleState, clock: float) -> tuple[float, int, bool]:
    """The first of the times that have come, how many there are, and whether even the last one was missed."""
    assert state.next_at is not None
    assert state.due_at is not None
    first, last, count = state.next_at, state.due_at, 1
    if schedule.every is not None:
        following = next_run(schedule, clock, state.anchor)
        assert following is not None
        count = max(1, round((following - first) / schedule.every))
        if count > 1:
            last = following - schedule.every
        return first, count, clock - last > PUNCTUAL
    time = next_run(schedule, first)
    while time is not None and time <= clock and count < MOST_COUNTED:
        last, count = time, count + 1
        time = next_run(schedule, time)
    if count == MOST_COUNTED:
        recent = next_run(schedule, clock - PUNCTUAL - 1)
        return first, count, recent is None or recent > clock
    return first, count, clock - last > PUNCTUAL


def _with_clock_set_back(schedule: Schedule, state: ScheduleState, now: Now, chance: float) -> ScheduleState:
    """The same state, unless the wall clock was set back so that a calendar's times come earlier than was reckoned."""
    if schedule.every is not None or (state.next_at is not None and state.next_at <= now.wall):
        return state
    done_until = state.done_until
    if done_until is not None and done_until - now.wall > CORRECTION:
        done_until = now.wall
    after = _not_before(schedule, done_until, now)
    time = next_run(schedule, after)
    if time is None or (state.next_at is not None and time >= state.next_at):
        return state
    return _set_next(schedule, state.replace(done_until=done_until), time, chance)


def _not_before(schedule: Schedule, done_until: float | None, now: Now) -> float:
    """From where a calendar's next time is sought: what was dealt with does not come again with the clock set back."""
    if done_until is None or is_frequent(schedule):
        return now.wall
    return max(now.wall, done_until)


def _reckoned(schedule: Schedule, state: ScheduleState, clock: float, now: Now, chance: float) -> ScheduleState:
    """The state with its next time, now that the others up to here are dealt with."""
    if schedule.every is None:
        state = state.replace(done_until=now.wall)
    return _set_next(schedule, state, next_run(schedule, clock, state.anchor), chance)


def _from_here(schedule: Schedule, state: ScheduleState, now: Now, chance: float) -> ScheduleState:
    """The state of a schedule that begins now."""
    if schedule.every is not None:
        begun = state.replace(anchor=now.monotonic, done_until=None)
        return _set_next(schedule, begun, next_run(schedule, now.monotonic, now.monotonic), chance)
    begun = state.replace(done_until=now.wall, next_wall=None)
    return _set_next(schedule, begun, next_run(schedule, now.wall), chance)


def _set_next(schedule: Schedule, state: ScheduleState, time: float | None, chance: float) -> ScheduleState:
    if time is None or not schedule.jitter:
        return state.replace(next_at=time, due_at=time)
    following = next_run(schedule, time, state.anchor)
    bound = schedule.jitter if following is None else min(schedule.jitter, following - time)
    return state.replace(next_at=time, due_at=time + chance * bound)


def _in_this_boot(schedule: Schedule, state: ScheduleState, now: Now) -> ScheduleState:
    """The state after a reboot: CLOCK_MONOTONIC has begun anew, and only the wall clock tells how long it took."""
    if state.retry_at is not None:
        state = state.replace(retry_at=now.monotonic)
    if schedule.every is None or state.next_at is None or state.due_at is None or state.next_wall is None:
        return state
    delay = state.due_at - state.next_at
    # A wall clock that has lost its time cannot put off the next run for longer than the interval.
    until = min(state.next_wall - now.wall, schedule.every)
    anchor = now.monotonic + until
    return state.replace(anchor=anchor, next_at=anchor, due_at=anchor + delay)


def _run_or_wait(schedule: Schedule, state: ScheduleState, wanted: Waiting, now: Now) -> Step:
    """Start it; where the last one goes on, do as the schedule says. A retry that waits gives way to it."""
    if state.run is None:
        return _start(schedule, state, wanted, now)
    if state.run.ending == STOPPED:
        # It was stopped and is wanted again, as soon as it is gone.
        return state.replace(waiting=(wanted,)), ()
    if schedule.overlap == REPLACE:
        return _end(state.replace(waiting=(wanted,)), REPLACED)
    if schedule.overlap == SKIP:
        return _skip(state, wanted, OVERLAPPED)
    assert schedule.overlap == QUEUE
    if len(state.waiting) >= MOST_WAITING:
        return _skip(state, wanted, QUEUE_FULL)
    return state.replace(waiting=(*state.waiting, wanted)), ()


def _start(schedule: Schedule, state: ScheduleState, wanted: Waiting, now: Now, attempt: int = 0) -> Step:
    assert state.run is None
    number = state.runs + 1
    run = Run(
        number=number,
        why=wanted.why,
        due=wanted.due,
        attempt=attempt,
        since=now.wall,
        started_at=now.monotonic,
        deadline=_deadline(schedule, now.monotonic),
    )
    started = state.replace(run=run, runs=number, retry_at=None, attempt=0)
    return started, (StartRun(number=number, why=wanted.why, attempt=attempt),)


def _end(state: ScheduleState, why: str) -> Step:
    """End what runs; what is being ended already is not ended twice."""
    run = state.run
    if run is None or run.ending:
        return state, ()
    return state.replace(run=run.replace(ending=why, deadline=None)), (EndRun(number=run.number, why=why),)


def _finish(schedule: Schedule, state: ScheduleState, entry: Entry, now: Now, chance: float) -> Step:
    """The run is over: start what waits, or try again later where it failed."""
    state = _noted(state, entry).replace(run=None)
    if state.waiting:
        first, *others = state.waiting
        return _start(schedule, state.replace(waiting=tuple(others)), first, now)
    is_failure = entry.outcome in (FAILED, TIMED_OUT, LOST)
    if is_failure and state.is_on and entry.attempt < schedule.retries:
        wait = _retry_wait(schedule, entry.attempt, chance)
        return state.replace(retry_at=now.monotonic + wait, attempt=entry.attempt + 1), ()
    return state, ()


def _retry_wait(schedule: Schedule, attempt: int, chance: float) -> float:
    """Seconds before the next try: a random part of a bound that doubles, never nothing."""
    bound = min(schedule.retry_first * 2.0 ** min(attempt, MOST_DOUBLINGS), schedule.retry_longest)
    return (1 - chance) * bound


def _deadline(schedule: Schedule, started_at: float) -> float | None:
    return None if schedule.timeout is None else started_at + schedule.timeout


def _entry(run: Run, outcome: str, duration: float | None, *, status: int | None = None, reason: str = "") -> Entry:
    return Entry(
        at=run.since,
        outcome=outcome,
        number=run.number,
        why=run.why,
        attempt=run.attempt,
        duration=duration,
        status=status,
        reason=reason,
    )


def _missed(state: ScheduleState, first: float, count: int) -> Step:
    """Note that so many times were missed, if any."""
    if not count:
        return state, ()
    entry = Entry(at=first, outcome=SKIPPED, reason=MISSED, count=count)
    return _skipped(state, entry), (SkipRun(reason=MISSED, count=count),)


def _skip(state: ScheduleState, wanted: Waiting, reason: str) -> Step:
    entry = Entry(at=wanted.due, outcome=SKIPPED, why=wanted.why, reason=reason)
    return _skipped(state, entry), (SkipRun(reason=reason),)


def _skipped(state: ScheduleState, entry: Entry) -> ScheduleState:
    """With the skipped ones in the history: those that follow each other for the same reason are one entry."""
    last = state.history[-1] if state.history else None
    if last is not None and (last.outcome, last.reason, last.why) == (SKIPPED, entry.reason, entry.why):
        return state.replace(history=(*state.history[:-1], last.replace(count=last.count + entry.count)))
    return _noted(state, entry)


def _noted(state: ScheduleState, entry: Entry) -> ScheduleState:
    return state.replace(history=(*state.history, entry)[-LONGEST_HISTORY:])
