"""`numen up`: run the daemons of a file in the foreground, for a developer or a container."""

from __future__ import annotations

from .options import Option, Table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Table(
    command="up",
    usage=("numen up [OPTIONS] [NAME...]",),
    description="Run the daemons of ./numen.toml or ./Procfile in the foreground, under a supervisor of their own,\n"
    "and show what they write. With NAMEs, just these and what they require; a name may be a shell pattern: 'web-*'.\n"
    "Ctrl-C stops all in order, a second one kills them at once.",
    epilog="""examples:
  numen up
  numen up --watch web
  numen up --file /srv/shop/numen.toml --timestamps

exit statuses: that of the vital daemon where it has ended by itself (128 + N: by signal N); where all have ended, that
of the first that failed; 0 after a stop in order; 1 the system failed, 2 a mistake in the file, or bad option,
4 no permission, 6 the file, a name or what a definition names cannot be used, 8 the directory is in use,
9 one could not be started, 124 one was not ready in time, 128 + N when all were killed by a second signal N""",
    options=(
        Option(flags=("--file", "-f"), metavar=("FILE",), help="the file of the daemons, or its directory (.)"),
        Option(flags=("--watch", "-w"), help="restart a daemon when a file in its directory changes"),
        Option(
            flags=("--ignore",),
            metavar=("PATTERN",),
            repeated=True,
            help="with --watch: pass over files and directories of this name too, a shell pattern",
        ),
        Option(flags=("--timestamps", "-t"), help="show when each line was written"),
        Option(flags=("--no-prefix",), help="no name before the lines"),
        Option(flags=("--no-color",), help="no colours of numen's own"),
        Option(flags=("--quiet", "-q"), help="do not tell when daemons start, are ready and end"),
        Option(
            flags=("--home",),
            metavar=("DIR",),
            help="keep sockets, states and logs there, as NUMEN_HOME; the logs stay (a temporary directory)",
        ),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen up`; the exit status. Raises DaemonError."""
    from .foreground.session import Session, Wishes

    values, names = read_mixed(TABLE, arguments)
    return Session(Wishes(values, names)).run()
