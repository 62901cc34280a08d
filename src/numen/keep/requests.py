"""What people ask of the supervisor about one daemon, and when that is answered.

A request is turned into an event at once; its answer comes when the daemon's life says so. `answer` is pure; each
daemon has its own list of those who wait, and none waits for another daemon's.
"""

from __future__ import annotations

from enum import Enum

from ..record import Record
from .decide import SHUT_DOWN
from .life import RESTING, Life, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .definitions.definition import Definition


class Kind(Enum):
    """What is waited for."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    REMOVE = "remove"
    WAIT_RUNNING = "wait running"
    WAIT_STOPPED = "wait stopped"


class Asked(Record):
    """One who waits."""

    kind: Kind
    invocation: str
    """The run that was there when it was asked; a restart is answered by another."""


class Outcome(Record):
    """The answer; `error` is the name of an error of the interface, empty where all went well."""

    error: str = ""
    message: str


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
        case Kind.WAIT_RUNNING:
            return _up(definition, life) if life.state is State.RUNNING else None
        case Kind.WAIT_STOPPED:
            return Outcome(message=f"is {life.state.value}") if life.state in RESTING else None


def _answer_start(definition: Definition, life: Life, asked: Asked) -> Outcome | None:
    is_old = asked.kind is Kind.RESTART and life.invocation == asked.invocation
    if not life.wanted or SHUT_DOWN in (life.reason, life.held_back):
        who = life.by if not life.wanted else "the end of the supervisor"
        return Outcome(error="Superseded", message=f"was stopped before it was up: {who}")
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


def _answer_stop(life: Life, asked: Asked) -> Outcome | None:
    if life.wanted:
        return Outcome(error="Superseded", message=f"is to run again: {life.by}")
    if life.state in RESTING:
        return Outcome(message="is removed" if asked.kind is Kind.REMOVE else "is stopped")
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
