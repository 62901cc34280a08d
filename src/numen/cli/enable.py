"""`numen enable`: let daemons be brought back when the supervisor starts."""

from __future__ import annotations

from . import enabling
from .outcomes import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "enable",
    "Let daemons be brought back when the supervisor starts, at boot for one. It starts none now.",
    ("numen enable web", "numen enable web && numen start web"),
    "7 no supervisor runs",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen enable`; the exit status. Raises DaemonError."""
    return enabling.order(TABLE, "Enable", arguments, start=True)
