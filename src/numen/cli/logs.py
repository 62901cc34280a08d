"""`numen logs`: what daemons that are kept have written."""

from __future__ import annotations

import json
import os
import sys
import time

from ..become.tail import printable
from ..errors import BadOption, Unusable, from_os_error
from ..settings.durations import parse_duration
from . import kept
from .heads import heads, stamp
from .options import Option, Table, whole_number
from .screen import is_terminal, wants_colours
from .streaming import print_all
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..keep.logs.reading import Line

LINES = 100
"""How many of the last lines are shown where nothing else is said."""

MOST_LINES = 10**9


def instant(text: str) -> float:
    """The time that is meant, in seconds since the epoch: so long ago, or a date, a time of today, or both.

    Raises BadOption.
    """
    try:
        return time.time() - parse_duration(text)
    except BadOption:
        pass
    from datetime import datetime

    today = time.strftime("%Y-%m-%dT")
    for form in (text, today + text):
        try:
            return datetime.fromisoformat(form).timestamp()
        except (ValueError, OverflowError):
            continue
    raise BadOption(f"{text!r} is no time; write one like 10m (ago), 14:30, 2026-11-22 or '2026-11-22 14:30:00'")


TABLE = Table(
    command="logs",
    usage=("numen logs [OPTIONS] [NAME...]",),
    description="Show what daemons have written, the last lines; of several, merged by time.\n"
    "A name may be a shell pattern: 'web-*'; without a name, all. `numen` is the supervisor's own log.",
    epilog="""examples:
  numen logs web
  numen logs --follow --lines 20 web 'worker-*'
  numen logs --since 10m --timestamps web
  numen logs numen

exit statuses: 0 done, 1 the system failed, 2 bad option, 4 no permission, 6 no such daemon,
130 interrupted by Ctrl-C""",
    options=(
        Option(flags=("--follow", "-f"), help="go on, and show what comes"),
        Option(
            flags=("--lines", "-n"),
            metavar=("N",),
            convert=whole_number(0, MOST_LINES),
            help=f"the last so many lines ({LINES}; with --since, all)",
        ),
        Option(
            flags=("--since",),
            metavar=("TIME",),
            convert=instant,
            help="what was written since then: 10m (ago), 14:30, 2026-11-22, '2026-11-22 14:30:00'",
        ),
        Option(flags=("--timestamps", "-t"), help="show when each line was written, as far as that is known"),
        Option(flags=("--json",), help="print facts as JSON, a line for each line"),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen logs`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    logs = _logs_of(names)
    lines = values["lines"]
    if lines is None and values["since"] is None:
        lines = LINES
    show = _json if values["json"] else _Shown(list(logs), has_times=values["timestamps"])
    try:
        found = _lines(logs, lines, values["since"], is_followed=values["follow"])
        return print_all(map(show, found), at_once=values["follow"])
    except OSError as error:
        raise from_os_error(error, f"read {error.filename or 'the logs'}") from error


def _logs_of(names: Sequence[str]) -> dict[str, str]:
    """The logs that are meant, each by the name that stands before its lines: NAME, and NAME.err of its own stderr.

    Raises Unusable for a name that no log has.
    """
    from ..settings.places import log_directory

    directory, defined = log_directory(), kept.defined()
    written = sorted(one.removesuffix(".log") for one in os.listdir(directory) if one.endswith(".log"))
    errors = {f"{name}.err" for name in (*defined, *written)} - set(defined)
    if names:
        from ..settings.names import OWN_NAME, matching

        known = {*defined, *written} - errors
        is_own = OWN_NAME in names
        chosen, unmatched = matching([one for one in names if one != OWN_NAME], known - {OWN_NAME})
        if unmatched:
            raise Unusable(f"there is no daemon {unmatched[0]!r}, nor a log of one", name=unmatched[0])
        chosen += [OWN_NAME] * is_own
    else:
        chosen = defined
    both = [one for name in chosen for one in (name, f"{name}.err") if one == name or one in errors & set(written)]
    return {name: os.path.join(directory, f"{name}.log") for name in both}


def _lines(logs: dict[str, str], lines: int | None, since: float | None, *, is_followed: bool) -> Iterator[Line]:
    from ..keep.logs.reading import cursors_of, merged, read

    if not is_followed:
        yield from read(logs, lines=lines, since=since)
        return
    from ..keep.logs.following import Follower

    cursors = cursors_of(logs, lines=lines, since=since)
    # Watched before they are read, so that nothing comes unseen in between.
    follower = Follower(cursors)
    try:
        yield from merged(cursors, lines=lines, to_the_end=False)
        yield from follower.follow()
    finally:
        follower.close()


def _json(line: Line) -> str:
    return json.dumps({"name": line.name, "time": line.time, "text": line.text.decode(errors="replace")})


class _Shown:
    """Lines as people see them: as they are in a pipe, and on a terminal without what would change it."""

    def __init__(self, names: list[str], *, has_times: bool) -> None:
        self.has_times = has_times
        self.is_terminal = is_terminal(sys.stdout)
        self.heads = dict.fromkeys(names, "")
        if len(names) > 1:
            self.heads = heads(names, has_colours=self.is_terminal and wants_colours())

    def __call__(self, line: Line) -> bytes:
        head = self.heads[line.name]
        if self.has_times or line.is_stamped:
            head += f"{stamp(line.time)}  "
        if not self.is_terminal:
            return head.encode(errors="backslashreplace") + line.text
        return (head + printable(line.text.decode(errors="replace"))).encode(sys.stdout.encoding, "backslashreplace")
