"""`numen wait`: wait until daemons that are kept are running, or stopped."""

from __future__ import annotations

import signal

from ..settings.durations import format_duration, parse_duration
from . import asking, kept
from .main import complain
from .options import Option, Table, one_of
from .outcomes import ENDINGS, JSON, QUIET, check_named, tell
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TABLE = Table(
    command="wait",
    usage=("numen wait [OPTIONS] NAME...",),
    description="Wait until daemons are running, or stopped. One that has failed or exited will not run:\n"
    "that is told at once. A name may be a shell pattern: 'web-*'.",
    epilog=f"""examples:
  numen wait web
  numen wait --for stopped --timeout 30s 'worker-*'

{ENDINGS}7 no supervisor runs, 9 it has failed or exited, 124 not in time""",
    options=(
        Option(
            flags=("--for",),
            metavar=("STATE",),
            convert=one_of("running", "stopped"),
            help="running: it is up (the default); stopped: it does not run, and nothing is being done about it",
        ),
        Option(
            flags=("--timeout",),
            metavar=("DURATION",),
            convert=parse_duration,
            help="wait no longer than that; 0: look once",
        ),
        QUIET,
        JSON,
    ),
)

TOO_LATE = 124
"""The exit status, as timeout(1) has it."""


class _TimeIsOver(Exception):
    """The alarm has rung."""


def run(arguments: Sequence[str]) -> int:
    """Run `numen wait`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    check_named("wait", names)
    wanted, timeout = values["for"] or "running", values["timeout"]
    left: dict[str, None] = {}
    signal.signal(signal.SIGALRM, _ring)
    try:
        try:
            if timeout:
                signal.setitimer(signal.ITIMER_REAL, timeout)
            return _wait(wanted, names, left, values)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TimeIsOver:
        said = ", ".join(left or names)
        complain(f"numen wait: not {wanted} within {format_duration(timeout)}: {said}")
        return TOO_LATE


def _ring(_number: int, _frame: object) -> None:
    raise _TimeIsOver


def _wait(wanted: str, names: Sequence[str], left: dict[str, None], values: dict[str, Any]) -> int:
    """Wait, and tell of each daemon as soon as it is so; the exit status. `left` are those that it is not so of."""
    statuses = [0]
    is_first = True
    for reply in asking.follow("Status", {"names": list(names)}):
        if is_first:
            left.update(dict.fromkeys(one["name"] for one in reply["daemons"]))
            is_first = False
        outcomes = [_outcome(one, wanted) for one in reply["daemons"]]
        outcomes += [_failure(name, "NoSuchDaemon", "was removed") for name in reply.get("removed") or ()]
        for outcome in outcomes:
            if outcome is not None and outcome["name"] in left:
                del left[outcome["name"]]
                tell("wait", outcome, values)
                statuses.append(0 if outcome["ok"] else asking.exit_status(outcome["error"]))
        if not left:
            break
        if values["timeout"] == 0:
            raise _TimeIsOver
    return max(statuses)


def _outcome(daemon: dict[str, Any], wanted: str) -> dict[str, Any] | None:
    """What comes of waiting for a daemon; `None` where it has to be waited for."""
    name, state = daemon["name"], daemon["state"]
    is_done = {"name": name, "ok": True, "last_lines": [], "daemon": daemon}
    match wanted, state:
        case "running", kept.RUNNING:
            return {**is_done, "message": f"is up: pid {daemon.get('pid')}"}
        case "stopped", kept.STOPPED | kept.EXITED | kept.FAILED:
            return {**is_done, "message": f"is {state}"}
        case "running", kept.EXITED | kept.FAILED:
            why = kept.why(dict.fromkeys(kept.FACTS) | daemon)
            return {**_failure(name, "NotStarted", f"has {state}: {why}"), "daemon": daemon}
    return None


def _failure(name: str, error: str, message: str) -> dict[str, Any]:
    return {"name": name, "ok": False, "error": error, "message": message, "last_lines": []}
