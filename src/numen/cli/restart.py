"""`numen restart`: end daemons that are kept, and start them again."""

from __future__ import annotations

from .outcomes import order, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "restart",
    "Stop daemons and start them again; one that does not run is started. Ends when each is up, or cannot be.\n"
    "What was changed in a definition file counts from then on.",
    ("numen restart web", "numen restart --quiet 'worker-*'"),
    "7 no supervisor runs,\n9 died before it was ready, 14 somebody stopped it meanwhile, 124 not ready in time",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen restart`; the exit status. Raises DaemonError."""
    return order(TABLE, "Restart", arguments)
