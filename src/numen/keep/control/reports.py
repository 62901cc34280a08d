"""A daemon's life as clients are told of it: the types Daemon and Event of io.numen.Supervisor."""

from __future__ import annotations

from ...settings.signals import signal_name
from ..decide import NOT_READY
from ..health import NO_ANSWER, is_up_by_time
from ..kernel import AFTER_EXIT, BEFORE_START
from ..life import RESTING, State
from ..notices import single_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..definitions.definition import Definition
    from ..kept import Daemon
    from ..life import Life
    from ..notices import Notice

BEING_SPAWNED = "being spawned"


def report(daemon: Daemon, wall: float, monotonic: float) -> dict[str, Any]:
    """What is so with a daemon; the two clocks say what the present instant is."""
    life, definition = daemon.life, daemon.definition
    said: dict[str, Any] = {
        "name": daemon.name,
        "state": life.state.value,
        "since": life.since,
        "wanted": life.wanted,
        "start": definition.start,
        "invocation": life.invocation,
        "restarts": life.restarts,
        "failures": life.failures,
        "ready": definition.ready,
        "reason": life.reason or single_run(life),
        "by": life.by,
        "status": life.status,
    }
    said |= _health_of(life, definition)
    if life.process is not None and life.has_main:
        said |= {"pid": life.process.pid, "start_time": life.process.start_time}
    if life.ending is not None:
        said["ending"] = str(life.ending)
        if life.ending.status is not None:
            said["ending_status"] = life.ending.status
    if life.deadline is not None:
        said["due"] = wall + life.deadline - monotonic
    elif life.wake_wall is not None:
        said["due"] = life.wake_wall
    elif life.wake is not None and life.state is State.SCHEDULED:
        said["due"] = wall + life.wake - monotonic
    if (awaited := _awaited(daemon)) is not None:
        said["awaited"] = awaited
    return said


def _health_of(life: Life, definition: Definition) -> dict[str, Any]:
    """What is known of one that runs."""
    health = life.health
    if health.is_not_ready:
        health_said = f"not ready: {health.said}"
    elif health.is_silent:
        health_said = f"{NO_ANSWER}: {health.said}"
    else:
        health_said = ""
    said: dict[str, Any] = {"health": health_said}
    if health.said:
        said["last_failure"] = health.said
    if definition.max_memory is not None:
        said["memory_limit"] = definition.max_memory
    return said


def event_of(name: str, notice: Notice, daemon: Daemon | None, wall: float) -> dict[str, Any]:
    """Something that happened."""
    said: dict[str, Any] = {"time": wall, "name": name, "kind": notice.kind, "message": notice.message}
    if daemon is not None and daemon.life.process is not None:
        said["pid"] = daemon.life.process.pid
    return said


def _awaited(daemon: Daemon) -> str | None:
    """What is waited for, in words."""
    life, definition = daemon.life, daemon.in_use
    if life.held_back:
        return "the end of those that depend on it"
    if life.state in RESTING or life.state in (State.RUNNING, State.WAITING):
        return None
    if life.state is State.BACKOFF:
        return "next try"
    if life.state is State.SCHEDULED:
        return "next run" if life.task is None or life.task.retry_at is None else "next try"
    if life.state is State.STARTING:
        if BEFORE_START in life.hooks:
            return BEFORE_START
        if life.process is None:
            return BEING_SPAWNED
        if is_up_by_time(definition):
            return "its first 200 ms" if definition.ready == "exec" else definition.ready
        return NOT_READY
    if AFTER_EXIT in life.hooks:
        return AFTER_EXIT
    if life.process is None:
        return BEING_SPAWNED
    if life.deadline is None:
        return "its end"
    number, _wait = definition.stop[min(life.stop_step, len(definition.stop) - 1)]
    return signal_name(number)
