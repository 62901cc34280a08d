"""`numen stop`: end daemons that are kept, each with its whole family."""

from __future__ import annotations

from .outcomes import order, table

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
    return order(TABLE, "Stop", arguments)
