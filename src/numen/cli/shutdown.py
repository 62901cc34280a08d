"""`numen shutdown`: end the supervisor, with the daemons or without."""

from __future__ import annotations

from . import asking, kept
from .main import complain, say
from .options import Option, Table
from .outcomes import QUIET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Table(
    command="shutdown",
    usage=("numen shutdown [--leave]",),
    description="End the supervisor. All daemons are stopped in order, and the next supervisor brings back what ran.\n"
    "Ends when all are gone.",
    epilog="""examples:
  numen shutdown
  numen shutdown --leave && numen supervisor

exit statuses: 0 no supervisor runs any more, 1 the system failed, or daemons run on without one,
2 bad option, 4 no permission""",
    options=(
        Option(flags=("--leave",), help="let the daemons run on; the next supervisor takes them back"),
        QUIET,
    ),
)

STILL_RUN = 1
"""The exit status where there is no supervisor, and daemons run on."""


def run(arguments: Sequence[str]) -> int:
    """Run `numen shutdown`; the exit status. Raises DaemonError."""
    values = TABLE.read_alone(arguments)
    try:
        with asking.connect() as connection:
            asking.call(connection, "Shutdown", {"leave": values["leave"]})
            asking.wait_for_end()
        done = "the supervisor has ended; " + ("the daemons run on" if values["leave"] else "all daemons are stopped")
    except asking.NoSupervisor:
        if left := kept.left_running():
            one = "a daemon runs" if len(left) == 1 else f"{len(left)} daemons run"
            told = ", ".join(f"{name} (pid {pid})" for name, pid in left.items())
            said = f"no supervisor runs, but {one} on: {told}; to end them: numen supervisor && numen shutdown"
            complain(f"numen shutdown: {said}")
            return STILL_RUN
        done = "no supervisor runs"
    if not values["quiet"]:
        say(done)
    return 0
