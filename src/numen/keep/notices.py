"""What is told of a daemon's life when it has changed: the words of `numen events` and of the supervisor's own log."""

from __future__ import annotations

from ..record import Record
from ..settings.durations import format_duration
from .decide import ENDED_WELL, NOT_READY, RESTARTED_BY_REQUEST, SHUT_DOWN, STOPPED_BY_REQUEST
from .health import NO_ANSWER, TOO_LARGE, UNSOUND
from .life import Health, Life, State
from .requests import ASKED, scheduled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..schedule.state import ScheduleState
    from .definitions.definition import Definition

SHORTEST_WAIT = 0.001
"""Seconds; a shorter wait is told as none."""


class Notice(Record):
    """Something that happened to a daemon, for people and programs."""

    kind: str
    """The state that was entered, or `exited`, `main`, `clearing`, `removed`, `vital`, `hook`; of one that is
    up, `not ready`, `ready`, `silent`, `answers`.

    Of a task also `ended` and `skipped`.

    What somebody did without a change of state is `defined`, `reloaded`, `signalled`, `enabled`, `disabled`.
    """
    message: str


class Change(Record):
    """A daemon whose life has changed, and what is to be told of it."""

    name: str
    notices: list[Notice]


def notices(definition: Definition, before: Life, after: Life, now: float) -> list[Notice]:
    """What is to be told of a step from one life to the next."""
    found = []
    if before.has_main and after.ended_at is not None and before.ended_at is None:
        found.append(Notice(kind="exited", message=f"{_pid(before)} ended: {after.ending}"))
    if after.process is not None and before.process is not None and after.process != before.process:
        found.append(Notice(kind="main", message=f"the main process is now {_pid(after)}"))
    if after.is_clearing and not before.is_clearing:
        left = ", ".join(str(one.pid) for one in after.members)
        found.append(Notice(kind="clearing", message=f"it has left processes behind, which are ended: {left}"))
    if after.task is not None and after.task is not before.task:
        found += _of_schedule(before.task, after.task)
    is_spawned = after.state is State.STARTING and after.process is not None and before.process is None
    is_silent = after.state is State.STARTING or (after.state is State.STOPPING and after.ended_at is not None)
    # Whether it waits at all, and for what, is seen in an instant.
    is_silent |= after.state is State.WAITING and not after.reason
    is_told_why = after.state is before.state is State.WAITING and not before.reason
    is_told_why |= after.is_blocked and not before.is_blocked
    if is_spawned or is_told_why or (after.state is not before.state and not is_silent):
        found.append(Notice(kind=after.state.value, message=_entered(definition, after, now)))
    if after.ends_all and not before.ends_all:
        found.append(Notice(kind="vital", message=f"it is vital, and has ended: {after.ending}"))
    if after.state is State.RUNNING and before.state is State.RUNNING:
        found += _of_health(before.health, after.health)
    return found


def _of_health(before: Health, after: Health) -> list[Notice]:
    found = []
    if after.is_not_ready != before.is_not_ready:
        message = f"it is up no longer, but runs: {after.said}" if after.is_not_ready else "it is up again"
        found.append(Notice(kind="not ready" if after.is_not_ready else "ready", message=message))
    if after.is_silent != before.is_silent:
        message = f"it {NO_ANSWER}: {after.said}" if after.is_silent else "it answers again"
        found.append(Notice(kind="silent" if after.is_silent else "answers", message=message))
    return found


def _of_schedule(before: ScheduleState | None, after: ScheduleState) -> list[Notice]:
    """What has come to stand in the history of a task."""
    old = before.history if before is not None else ()
    found = []
    for one in (one for one in after.history if one not in old):
        if one.number is None:
            times = f" ({one.count} times)" if one.count > 1 else ""
            found.append(Notice(kind="skipped", message=f"a run is skipped: {one.reason}{times}"))
        else:
            told = f"run {one.number}: {one.outcome}"
            told += f" after {format_duration(round(one.duration, 3))}" if one.duration is not None else ""
            found.append(Notice(kind="ended", message=told + (f": {one.reason}" if one.reason else "")))
    return found


def _entered(definition: Definition, after: Life, now: float) -> str:
    match after.state:
        case State.STARTING:
            run = after.task.run if after.task is not None else None
            why = f"restart {after.restarts}" if after.restarts else f"asked for by {after.by}"
            if run is not None and run.why != ASKED:
                why = f"run {run.number}, {run.why}"
            return f"{_pid(after)} ({why})"
        case State.RUNNING:
            if after.health.was_late:
                return f"{_pid(after)} is taken to be up: {NOT_READY} ({definition.ready})"
            return f"{_pid(after)} is up ({definition.ready})"
        case State.STOPPING:
            return f"{_pid(after)}: {_stopped_by(after)}"
        case State.BACKOFF:
            was_ended = after.reason.startswith((NOT_READY, *UNSOUND, TOO_LARGE))
            cause = after.reason if was_ended else str(after.ending)
            wait = max(0.0, (after.deadline or now) - now)
            return f"{cause}; next try " + (f"in {format_duration(wait)}" if wait >= SHORTEST_WAIT else "now")
        case State.SCHEDULED if after.task is not None:
            return scheduled(after.task)
        case State.WAITING | State.SCHEDULED:
            return after.reason
        case State.STOPPED:
            return (single_run(after) or after.by) if not after.wanted else "the supervisor ends"
        case State.EXITED | State.FAILED:
            if after.reason == ENDED_WELL:
                return f"{after.ending}; it ended as it should"
            return f"{after.ending}; not started again: {after.reason}"


def single_run(life: Life) -> str:
    """That it does not run because it was run by itself, and that is over; empty where there is another reason."""
    is_over = life.state is State.STOPPED and life.is_single and life.ending is not None
    return f"was run: {life.ending}" if is_over else ""


def _stopped_by(life: Life) -> str:
    if life.reason == SHUT_DOWN:
        return "the supervisor ends"
    return f"{life.reason} ({life.by})" if life.reason in (STOPPED_BY_REQUEST, RESTARTED_BY_REQUEST) else life.reason


def _pid(life: Life) -> str:
    return f"pid {life.process.pid}" if life.process is not None else "it"
