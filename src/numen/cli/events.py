"""`numen events`: what has happened to daemons that are kept."""

from __future__ import annotations

import json
import time

from ..become.tail import printable
from . import asking
from .options import Option, Table, whole_number
from .streaming import print_all
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

MOST_LINES = 10**6

TABLE = Table(
    command="events",
    usage=("numen events [OPTIONS] [NAME...]",),
    description="Say what has happened to daemons, the last events that the supervisor remembers.\n"
    "A name may be a shell pattern: 'web-*'; without a name, to all.",
    epilog="""examples:
  numen events
  numen events --follow web 'worker-*'
  numen events --lines 10
  numen events --json --follow

exit statuses: 0 done, 1 the system failed, 2 bad option, 4 no permission, 6 no such daemon, 7 no supervisor runs,
130 interrupted by Ctrl-C""",
    options=(
        Option(
            flags=("--lines", "-n"),
            metavar=("N",),
            convert=whole_number(0, MOST_LINES),
            help="just the last N; with --follow, before what comes",
        ),
        Option(flags=("--follow", "-f"), help="go on, and say what happens from now on"),
        Option(flags=("--json",), help="print facts as JSON, a line for each event"),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen events`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    form = json.dumps if values["json"] else in_words
    return print_all(form(event) for event in happened(names, values["lines"], is_followed=values["follow"]))


def happened(names: Sequence[str], lines: int | None, *, is_followed: bool) -> Iterator[dict[str, Any]]:
    """The last events of these daemons, or of all; with `is_followed` those to come too. Raises DaemonError."""
    if not is_followed:
        yield from _last(lines, asking.ask("Events", {"names": list(names)})["events"])
        return
    last = 0.0
    for reply in asking.follow("Events", {"names": list(names), "follow": True}):
        # A new supervisor may tell some of them again.
        new = [event for event in reply["events"] if event["time"] > last]
        last = max([last, *(event["time"] for event in new)])
        yield from _last(lines, new)
        lines = None


def _last(lines: int | None, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return events if lines is None else events[len(events) - min(lines, len(events)) :]


def in_words(event: dict[str, Any]) -> str:
    """One event as a line for people."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
    return f"{when}  {event['name']}  {event['kind']}  {printable(event['message'])}".rstrip()
