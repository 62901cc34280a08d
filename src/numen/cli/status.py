"""`numen status`: how daemons that are kept stand."""

from __future__ import annotations

import json
import sys
import time

from . import asking, kept
from .main import complain, say
from .options import Option, Table
from .outcomes import QUIET
from .screen import screen
from .words import no_daemon, read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TABLE = Table(
    command="status",
    usage=("numen status [OPTIONS] [NAME...]",),
    description="Say how daemons stand: since when, under which pid, what they use, and why they do not run.\n"
    "A name may be a shell pattern: 'web-*'; without a name, all.",
    epilog="""examples:
  numen status
  numen status --watch 'worker-*'
  numen status --json web
  numen status --quiet web || numen start web

exit statuses, of several daemons the worst, in this order: 4 no such daemon, 1 it should run and does not (backoff,
waiting, failed), or its file is unusable, 3 it does not run, or not yet, 0 it runs. Also 2 bad option; 1, 4 where the
supervisor cannot be asked""",
    options=(
        Option(flags=("--watch", "-w"), help="go on, and show every change"),
        Option(flags=("--json",), help="print facts as JSON; with --watch, a line for each change"),
        Option(flags=("--names",), help="print just the names of all that are defined, without asking the supervisor"),
        QUIET.replace(help="print nothing: the exit status tells"),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen status`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    if values["names"]:
        for name in kept.defined():
            say(name)
        return 0
    try:
        if values["watch"]:
            from .watching import watch

            return watch(names, as_json=values["json"])
        daemons, unknown = kept.ask(names)
        known = {one["name"] for one in daemons}
        if not known.issuperset(kept.defined()):
            from .unusable import left_unknown, rows

            bad = rows(known, names)
            daemons, unknown = [*daemons, *bad], left_unknown(unknown, bad)
    except asking.NoSupervisor as error:
        complain(f"numen status: {error}")
        daemons, unknown = kept.without_supervisor(names)
    _tell(daemons, unknown, values)
    return kept.exit_status(daemons, unknown)


def _tell(daemons: Sequence[dict[str, Any]], unknown: Sequence[str], values: dict[str, Any]) -> None:
    if not values["quiet"]:
        found = [kept.with_usage(one) for one in daemons]
        if values["json"]:
            say(json.dumps([kept.as_json(one) for one in found]))
        elif found:
            say(table(found))
        elif not unknown:
            say("no daemon is defined; numen start defines one")
    sys.stdout.flush()
    for name in unknown:
        complain(f"numen status: {no_daemon(name, kept.defined())}")


def table(found: Sequence[dict[str, Any]]) -> str:
    """The table of daemons, as whoever looks can use it."""
    from . import kept_table

    if (looked_at := screen()) is not None:
        return kept_table.for_terminal(found, time.time(), looked_at)
    return kept_table.plain(found, time.time())
