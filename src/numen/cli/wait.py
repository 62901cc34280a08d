"""`numen wait`: wait until daemons that are kept are running, or stopped."""

from __future__ import annotations

import signal

from ..settings.durations import format_duration, parse_duration
from .main import complain
from .options import Option, Table, one_of
from .outcomes import ENDINGS, JSON, QUIET, check_named, order_daemons
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Table(
    command="wait",
    usage=("numen wait [OPTIONS] NAME...",),
    description="Wait until daemons are running, or stopped.\nA name may be a shell pattern: 'web-*'.",
    epilog=f"""examples:
  numen wait web
  numen wait --for stopped --timeout 30s 'worker-*'

{ENDINGS}7 no supervisor runs, 124 not in time""",
    options=(
        Option(
            flags=("--for",),
            metavar=("STATE",),
            convert=one_of("running", "stopped"),
            help="running: it is up (the default); stopped: it does not run, and nothing is being done about it",
        ),
        Option(flags=("--timeout",), metavar=("DURATION",), convert=parse_duration, help="wait no longer than that"),
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
    wanted = values["for"] or "running"
    signal.signal(signal.SIGALRM, _ring)
    if values["timeout"] is not None:
        # Not 0, which would set none.
        signal.setitimer(signal.ITIMER_REAL, max(values["timeout"], 1e-6))
    try:
        return order_daemons("wait", "Wait", names, values, **{"for": wanted})
    except _TimeIsOver:
        complain(f"numen wait: not {wanted} within {format_duration(values['timeout'])}: {', '.join(names)}")
        return TOO_LATE


def _ring(_number: int, _frame: object) -> None:
    raise _TimeIsOver
