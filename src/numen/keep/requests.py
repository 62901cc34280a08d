"""What people ask of the supervisor about one daemon, and when that is answered.

A request is turned into an event at once; its answer comes when the daemon's life says so. `answer` is pure; each
daemon has its own list of those who wait, and none waits for another daemon's.
"""

from __future__ import annotations

from enum import Enum

from ..record import Record
from .decide import SHUT_DOWN
from .definitions.definition import ALWAYS
from .kernel import RELOAD
from .life import BETWEEN_RUNS, RESTING, Ending, Life, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..schedule.state import ScheduleState
    from .definitions.definition import Definition


class Kind(Enum):
    """What is waited for."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    REMOVE = "remove"
    RUN = "run"
    RELOAD = "reload"
    WAIT_RUNNING = "wait running"
    WAIT_STOPPED = "wait stopped"


class Asked(Record):
    """One who waits."""

    kind: Kind
    invocation: str
    """The run that was there when it was asked; a restart is answered by another."""
    runs: int = 0
    """Of a task: how many runs there had been."""
    place: int = 1
    """Of a task: which of those runs that were asked for, counted from there, is meant."""


class Outcome(Record):
    """The answer; `error` is the name of an error of the interface, empty where all went well."""

    error: str = ""
    message: str
    status: int | None = None
    """How the run ended that was asked for: the exit status, or the signal as a negative number."""


ASKED = "asked"
"""Why a run goes on that somebody asked for, as `schedule.state` has it; most supervisors need nothing of that."""

ENDED_BY_ITSELF = ("done", "failed")

NO_STATUS = {
    "failed": "NotStarted",
    "timeout": "TimedOut",
    "replaced": "Superseded",
    "stopped": "Superseded",
    "lost": "SystemFailed",
}
"""The errors for what came of a run, where that is no exit status."""

UP_BY = {
    "exec": "it still lives after 200 ms",
    "notify": "it sent READY=1",
    "fd:": "it wrote a newline",
    "log:": "a line of its log matches",
    "after:": "it has lived for so long",
}
"""How each kind of readiness is told; the others answer."""


def answer(definition: Definition, life: Life, asked: Asked) -> Outcome | None:
    """The answer to one who waits; `None` while it is open."""
    match asked.kind:
        case Kind.START | Kind.RESTART:
            return _answer_start(definition, life, asked)
        case Kind.STOP | Kind.REMOVE:
            return _answer_stop(life, asked)
        case Kind.RUN:
            return _answer_run(life) if life.task is None else _answer_task_run(life, life.task, asked)
        case Kind.RELOAD:
            is_over = RELOAD not in life.hooks
            return Outcome(error="NotRunning", message="ended before it had reloaded") if is_over else None
        case Kind.WAIT_RUNNING:
            return _up(definition, life) if life.state is State.RUNNING else None
        case Kind.WAIT_STOPPED:
            return Outcome(message=f"is {life.state.value}") if life.state in RESTING else None


def refused_run(definition: Definition, life: Life) -> Outcome | None:
    """Why a daemon that is no task cannot be run once; `None` where it can."""
    if definition.is_task or life.task is not None:
        return None
    if definition.restart == ALWAYS:
        return Outcome(error="NoEnd", message="is to run on, its restart is always: `numen start` starts it")
    if life.state in RESTING or life.state in BETWEEN_RUNS:
        return None
    return Outcome(error="Skipped", message=f"is not run: it is {life.state.value} already")


def begun_run(before: Life, after: Life) -> tuple[Outcome, Asked]:
    """What came of asking for a run, and who waits for its end."""
    asked = Asked(kind=Kind.RUN, invocation=after.invocation)
    if after.task is None:
        return Outcome(message="is being run"), asked
    runs = 0 if before.task is None else before.task.runs
    waiting = before.task.waiting if before.task is not None else ()
    asked = asked.replace(runs=runs, place=max(1, sum(one.why == ASKED for one in after.task.waiting)))
    if after.task.runs > runs:
        return Outcome(message="is being run"), asked
    if after.task.waiting != waiting:
        return Outcome(message="will be run when its present run has ended"), asked
    return Outcome(error="Skipped", message="is not run: its present run goes on (schedule.overlap)"), asked


def _held_up(life: Life) -> Outcome | None:
    """What a run waits for will not come without a person's doing."""
    is_held_up = life.state is State.WAITING and life.is_blocked
    return Outcome(error="NotStarted", message=f"is not run yet: {life.reason}") if is_held_up else None


def _answer_run(life: Life) -> Outcome | None:
    if life.state not in RESTING or life.ending is None:
        return _held_up(life)
    return Outcome(
        error="NotStarted" if life.ending.failure else "", message=f"has run: {life.ending}", status=life.ending.status
    )


def _answer_task_run(life: Life, task: ScheduleState, asked: Asked) -> Outcome | None:
    over = [one for one in task.history if (one.number or 0) > asked.runs and one.why == ASKED]
    if len(over) >= asked.place:
        one = over[asked.place - 1]
        how = str(Ending(status=one.status, failure=one.reason))
        if one.outcome in ENDED_BY_ITSELF and one.status is not None:
            return Outcome(message=f"has run: {how}", status=one.status)
        return Outcome(error=NO_STATUS[one.outcome], message=f"was run, and {one.outcome}: {how}")
    is_to_come = any(one.why == ASKED for one in task.waiting) or (task.run is not None and task.run.why == ASKED)
    if is_to_come:
        return _held_up(life)
    return Outcome(error="Superseded", message="was stopped before it could run")


def _answer_start(definition: Definition, life: Life, asked: Asked) -> Outcome | None:
    is_old = asked.kind is Kind.RESTART and life.invocation == asked.invocation
    if not life.wanted or SHUT_DOWN in (life.reason, life.held_back):
        who = life.by if not life.wanted else "the end of the supervisor"
        return Outcome(error="Superseded", message=f"was stopped before it was up: {who}")
    if life.task is not None and life.task.is_on:
        pid = f", and runs now: pid {life.process.pid}" if life.process is not None else ""
        return Outcome(message=f"is scheduled{pid}; {scheduled(life.task)}")
    match life.state:
        case State.RUNNING:
            return None if is_old else _up(definition, life)
        case State.STOPPED | State.STARTING | State.STOPPING:
            return None
        case State.WAITING:
            # What it waits for may take any time, as long as it may come by itself.
            return Outcome(error="NotStarted", message=f"is not up: {life.reason}") if life.is_blocked else None
        case State.SCHEDULED:
            return Outcome(message="waits for its next time")
        case State.EXITED:
            return Outcome(message=f"has ended as it should: {life.ending}")
        case State.BACKOFF | State.FAILED:
            return _not_up(definition, life)


def scheduled(task: ScheduleState) -> str:
    """When a task runs next, in words."""
    next_at = task.next_at if task.next_wall is None else task.next_wall
    if next_at is None:
        return "no run is to come"
    from time import localtime, strftime

    return f"next run at {strftime('%Y-%m-%d %H:%M:%S %Z', localtime(next_at))}"


def _answer_stop(life: Life, asked: Asked) -> Outcome | None:
    if life.wanted:
        return Outcome(error="Superseded", message=f"is to run again: {life.by}")
    if life.state in RESTING:
        return Outcome(message="is removed" if asked.kind is Kind.REMOVE else "is stopped")
    if life.state in (State.STARTING, State.RUNNING, State.WAITING) and not life.held_back:
        # It was stopped, and somebody has asked for one more run before that was told.
        return Outcome(error="Superseded", message=f"is run once more: {life.by}")
    return None


def _up(definition: Definition, life: Life) -> Outcome:
    how = _how(definition, life)
    pid = life.process.pid if life.process is not None else 0
    said = f"; {life.status}" if life.status else ""
    return Outcome(message=f"is up: pid {pid} ({how}{said})")


def _how(definition: Definition, life: Life) -> str:
    """By what it is known to be up."""
    if life.health.was_late:
        return f"not known to be ready within {definition.ready_timeout:g}s, and taken to be up"
    if life.health.is_not_ready:
        return f"not ready: {life.health.said}"
    ready = definition.ready
    return UP_BY.get(ready) or UP_BY.get(ready[: ready.find(":") + 1]) or f"{ready} answers"


def _not_up(definition: Definition, life: Life) -> Outcome:
    again = "" if life.state is State.FAILED else "; it will be tried again"
    if life.reason.startswith("not ready"):
        within = f"{definition.ready_timeout:g}s"
        _, _, said = life.reason.partition(": ")
        why = f" ({said})" if said else ""
        message = f"was not ready within {within}{why}, and was ended{again}"
        return Outcome(error="NotReadyInTime", message=message)
    if life.ending is not None and life.ending.failure:
        return Outcome(error="NotStarted", message=f"{life.ending.failure}{again}")
    return Outcome(error="NotStarted", message=f"ended before it was up: {life.ending}{again}")
