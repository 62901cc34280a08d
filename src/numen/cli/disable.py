"""`numen disable`: let daemons not be brought back when the supervisor starts."""

from __future__ import annotations

from . import enabling
from .outcomes import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "disable",
    "Let daemons not be brought back when the supervisor starts. What runs goes on.",
    ("numen disable web", "numen disable web && numen stop web"),
    "7 no supervisor runs",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen disable`; the exit status. Raises DaemonError."""
    return enabling.order(TABLE, "Disable", arguments, start=False)
