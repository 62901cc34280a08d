"""`numen supervisor`: start the supervisor, in the background or in the foreground."""

from __future__ import annotations

import json

from ..errors import AlreadyRunning
from . import asking
from .main import complain, say
from .options import Option, Table
from .outcomes import QUIET
from .unusable import unusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TABLE = Table(
    command="supervisor",
    usage=("numen supervisor [OPTIONS]",),
    description="Start the supervisor, and with it every daemon that ran when the last one ended.\n"
    "`numen start` does so by itself. Ends when it takes requests.",
    epilog="""examples:
  numen supervisor
  exec numen supervisor --foreground

exit statuses: 0 it has been started, 1 the system failed, 2 bad option, 4 no permission, 6 its directories cannot be
used, 8 it runs already, 9 it did not start, 124 it did not answer in time""",
    options=(
        Option(
            flags=("--foreground",),
            help="stay in the foreground, for a service manager (notify, watchdog) or a container",
        ),
        QUIET,
        Option(flags=("--json",), help="print facts as JSON"),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen supervisor`; the exit status. Raises DaemonError."""
    from ..keep import house

    values = TABLE.read_alone(arguments)
    if values["foreground"]:
        house.foreground()
    has_started = house.open_house()
    about = asking.ask("About")
    if not has_started:
        raise AlreadyRunning(f"the supervisor runs already: pid {about['pid']}", pid=about["pid"])
    _tell(about, values)
    return 0


def _tell(about: dict[str, Any], values: dict[str, Any]) -> None:
    if values["json"]:
        say(json.dumps(about))
    elif not values["quiet"]:
        say(f"the supervisor is up: pid {about['pid']}, under its keeper, pid {about['keeper']}")
    known = [one["name"] for one in asking.ask("Status", {"names": []})["daemons"]]
    for name, why in unusable(known).items():
        complain(f"{name} cannot be used: {why}")
