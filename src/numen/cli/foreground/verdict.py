"""When a run is over by itself, and with which exit status; pure."""

from __future__ import annotations

from ..kept import BACKOFF, EXITED, FAILED, RUNNING, STARTING, STOPPING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...keep.definitions.definition import Definition

    Reports = Mapping[str, dict[str, Any]]

MOVING = frozenset({STARTING, RUNNING, STOPPING, BACKOFF, "scheduled"})
"""The states from which something more may come by itself. One that waits waits for another."""

BY_SIGNAL = 128
"""To this the number of a signal is added, as shells do."""

FAILURE = 1
"""The exit status of what has failed without one of its own."""


def vital_end(definitions: Mapping[str, Definition], reports: Reports) -> int | None:
    """The exit status of the vital daemon that has ended for good by itself; `None` while there is none."""
    ended = [
        report
        for name, report in reports.items()
        if name in definitions and definitions[name].vital and report["state"] in (EXITED, FAILED)
    ]
    return exit_status(min(ended, key=_since)) if ended else None


def all_ended(reports: Reports) -> int | None:
    """The exit status where nothing runs any more, and nothing will: of the first that failed; `None` otherwise."""
    if any(report["state"] in MOVING for report in reports.values()):
        return None
    failed = [report for report in reports.values() if report["state"] == FAILED]
    return exit_status(min(failed, key=_since)) if failed else 0


def exit_status(report: Mapping[str, Any]) -> int:
    """The exit status that hands on how a daemon has ended."""
    status = report.get("ending_status")
    if status is None or (status == 0 and report["state"] == FAILED):
        return FAILURE
    return int(status) if status >= 0 else BY_SIGNAL - int(status)


def _since(report: Mapping[str, Any]) -> float:
    return float(report["since"])
