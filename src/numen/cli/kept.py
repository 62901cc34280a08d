"""What is so with daemons that are kept, as a person asks for it: from the supervisor, from /proc and from files."""

from __future__ import annotations

import os
import time

from ..errors import Unusable
from . import asking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

FACTS = (
    *("name", "state", "since", "wanted", "start", "pid", "start_time", "invocation", "restarts", "failures", "ready"),
    *("ending", "ending_status", "due", "awaited", "reason", "by", "status", "cpu", "cpu_seconds", "memory"),
    *("processes", "health", "last_failure", "memory_limit"),
)
"""What is told of a daemon as JSON, in this order; null where it does not arise."""

RUNNING, STARTING, STOPPING, BACKOFF, STOPPED = "running", "starting", "stopping", "backoff", "stopped"
EXITED, FAILED, UNUSABLE, WAITING, SCHEDULED = "exited", "failed", "unusable", "waiting", "scheduled"

LSB_RUNNING, LSB_DEAD, LSB_NOT_RUNNING, LSB_UNKNOWN = 0, 1, 3, 4
"""Exit statuses of `status`, as the Linux Standard Base has them."""

STATUSES = {
    RUNNING: LSB_RUNNING,
    SCHEDULED: LSB_RUNNING,
    STARTING: LSB_NOT_RUNNING,
    STOPPING: LSB_NOT_RUNNING,
    STOPPED: LSB_NOT_RUNNING,
    EXITED: LSB_NOT_RUNNING,
    BACKOFF: LSB_DEAD,
    WAITING: LSB_DEAD,
    FAILED: LSB_DEAD,
    UNUSABLE: LSB_DEAD,
}

WORST = (LSB_RUNNING, LSB_NOT_RUNNING, LSB_DEAD, LSB_UNKNOWN)
"""Which of several exit statuses counts: the last of these that there is."""


def ask(names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """How the daemons stand that are named, and the names that mean none."""
    wanted: list[str] = list(names)
    unknown: list[str] = []
    while True:
        try:
            return asking.ask("Status", {"names": wanted})["daemons"], unknown
        except Unusable as error:
            missing = error.values.get("name")
            if missing not in wanted:
                raise
            unknown.append(missing)
            wanted.remove(missing)
            if not wanted:
                return [], unknown


def defined() -> list[str]:
    """The names of all daemons that have a definition file, whether a supervisor runs or not."""
    from ..settings.places import defined_in, definitions_directory

    return defined_in(definitions_directory())


def definition_path(name: str) -> str:
    """Where the definition file of a daemon stands. Raises BadOption for what is no name of one."""
    from ..keep.definitions import files
    from ..settings.places import definitions_directory

    return files.definition_path(definitions_directory(), name)


def without_supervisor(names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """The daemons that are defined, where nobody keeps them, and the names that mean none."""
    known = defined()
    unknown: list[str] = []
    if names:
        from ..settings.names import matching

        known, unknown = matching(names, known)
    left = left_behind()
    resting = {"state": STOPPED, "reason": "no supervisor runs"}
    return [{"name": name, **left.get(name, resting)} for name in known], unknown


def left_running() -> dict[str, int]:
    """The pids of the daemons that run on where no supervisor runs, by their names."""
    return {name: one["pid"] for name, one in sorted(left_behind().items()) if one["state"] == RUNNING}


def left_behind() -> dict[str, dict[str, Any]]:
    """The daemons that run on after their supervisor has ended (numen shutdown --leave), from what it wrote down.

    Also those that did not run then though they were to: no supervisor will try them.
    """
    from ..keep.journal import Journal, boot
    from ..kernel import proc
    from ..settings.places import state_directory

    lives: dict[str, dict[str, Any]] = {}
    written = ""
    for record in Journal(os.path.join(state_directory(), "journal")).read():
        if "life" in record:
            lives[record["name"]] = record["life"]
        elif record.get("removed"):
            lives.pop(record["name"], None)
        written = record.get("boot", written)
    found = {}
    # A pid of before the boot, or of another container, would be a stranger's here.
    for name, life in lives.items() if written == boot() else ():
        process: dict[str, int] = life.get("process") or {}
        seen = proc.stat(process["pid"]) if process and life.get("ended_at") is None else None
        told = {"since": life.get("since"), "restarts": life.get("restarts", 0), "invocation": life.get("invocation")}
        if seen is not None and seen.start_time == process["start_time"] and seen.state not in proc.DEAD_STATES:
            found[name] = {"state": RUNNING, **process, **told, "status": "no supervisor runs: it runs on"}
        elif life.get("state") in (BACKOFF, WAITING, FAILED, EXITED):
            found[name] = {"state": life["state"], **told, "reason": "no supervisor runs"}
    return found


def with_usage(daemon: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """The facts of a daemon, complete, with what its processes use.

    `cpu` is its share of one processor: since it was started, or since `before`.
    """
    facts = dict.fromkeys(FACTS) | daemon
    pid, start_time = facts["pid"], facts["start_time"]
    if pid is None or start_time is None:
        return facts
    from ..kernel.usage import age, usage

    found = usage(pid, start_time)
    if found is None:
        return facts
    now = age(start_time)
    seconds, over = found.cpu, now
    if before is not None and before["invocation"] == facts["invocation"] and before.get("read_at") is not None:
        seconds, over = seconds - before["cpu_seconds"], now - before["read_at"]
    cpu = max(0.0, seconds / over) if over > 0 else 0.0
    read = {"cpu": round(cpu, 4), "cpu_seconds": found.cpu, "memory": found.memory, "processes": found.processes}
    return facts | read | {"read_at": now, "is_suspended": found.is_suspended}


def as_json(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that are told to programs."""
    return {name: facts[name] for name in FACTS}


def exit_status(daemons: Iterable[dict[str, Any]], unknown: Sequence[str] = ()) -> int:
    """The exit status for these daemons: that of the worst."""
    found = {STATUSES.get(one["state"], LSB_UNKNOWN) for one in daemons}
    if unknown:
        found.add(LSB_UNKNOWN)
    return max(found, key=WORST.index, default=LSB_RUNNING)


def why(facts: dict[str, Any], now: float | None = None) -> str:
    """The reason for a daemon's state in words: what is waited for, how it ended, who stopped it."""
    parts: list[str]
    match facts["state"]:
        case "running":
            ended = f"restarted after {facts['ending']}" if facts["restarts"] and facts["ending"] else ""
            continues = f"is suspended by a signal; numen signal CONT {facts['name']} continues it"
            held = f"is stopped after {facts['awaited']}" if facts["awaited"] else ""
            parts = [
                continues if facts.get("is_suspended") else "",
                held,
                facts["health"] or "",
                facts["status"],
                ended,
            ]
        case "starting":
            parts = [_awaited(facts, now), facts["last_failure"] or "", facts["status"]]
        case "stopping":
            parts = [_cause(facts), _awaited(facts, now)]
        case "backoff":
            parts = [facts["reason"] or facts["ending"], _awaited(facts, now)]
        case "scheduled":
            last = facts["ending"] if facts["ending_status"] != 0 else ""
            parts = [_awaited(facts, now), f"the last one: {last}" if last else ""]
        case "exited" | "failed":
            parts = [facts["ending"], facts["reason"]]
        case _:
            # Not by its pid: the command has ended, and nobody can look it up.
            who = facts["by"].partition(" (pid ")[0] if facts["by"] and not facts["wanted"] else ""
            parts = [facts["reason"] or (f"stopped by {who}" if who else "")]
    return "; ".join(one for one in parts if one)


def _cause(facts: dict[str, Any]) -> str:
    if not facts["reason"]:
        return f"{facts['ending']}, ends what it has left behind" if facts["ending"] else ""
    if facts["reason"] in ("stop", "restart") and facts["by"]:
        return f"{facts['reason']} by {facts['by']}"
    return str(facts["reason"])


COMMANDS = ("before_start", "after_exit")

_WAITS = {"exec": "must live 200 ms", "notify": "waits for READY=1"}


def _awaited(facts: dict[str, Any], now: float | None) -> str:
    awaited = facts["awaited"] or ""
    if awaited in COMMANDS:
        return f"runs its {awaited}"
    if facts["state"] == STARTING and awaited != "being spawned":
        ready = facts["ready"]
        awaited = _WAITS.get(ready) or f"waits for {'a newline on ' if ready.startswith('fd:') else ''}{ready}"
        if ready == "exec" or ready.startswith("after:"):
            return awaited
        awaited += ", ended"
    if facts["due"] is None or not awaited:
        return awaited
    from ..settings.durations import format_duration

    left = max(0.0, facts["due"] - (time.time() if now is None else now))
    return f"{awaited} in {format_duration(round(left, 1))}" if left >= 0.05 else f"{awaited} now"
