"""`numen remove`: end daemons that are kept, and keep them no longer."""

from __future__ import annotations

from .outcomes import order, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "remove",
    "Stop daemons and remove their definition files. Their logs stay.",
    ("numen remove web", "numen remove 'test-*'"),
    "7 no supervisor runs, 14 somebody started it meanwhile",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen remove`; the exit status. Raises DaemonError."""
    return order(TABLE, "Remove", arguments)
