"""`numen stop`: end daemons that are kept, each with its whole family."""

from __future__ import annotations

import time
from contextlib import suppress

from ..become.tail import printable
from ..errors import DaemonError
from . import asking
from .kept import WAITING
from .main import say
from .outcomes import order_daemons, table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "stop",
    "Stop daemons, each with its whole family, and let them stay stopped. Ends when they are gone.",
    ("numen stop web", "numen stop 'worker-*' mail"),
    "7 no supervisor runs, 14 somebody started it meanwhile",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen stop`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    asked_at = time.time()
    status = order_daemons(TABLE.command, "Stop", names, values)
    if not values["quiet"] and not values["json"]:
        _tell_who_waits(asked_at)
    return status


def _tell_who_waits(asked_at: float) -> None:
    """Tell of those that were stopped too, for they cannot go on without what has been stopped."""
    with suppress(DaemonError):
        for one in asking.ask("Status", {"names": []})["daemons"]:
            if one["state"] == WAITING and one["since"] >= asked_at and one["reason"]:
                say(f"{one['name']} {printable(one['reason'])}")
