"""`numen reload`: let daemons that are kept read their configuration again."""

from __future__ import annotations

from .outcomes import order, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "reload",
    "Send daemons the signal that lets them read their configuration again: HUP, or what their definition names.",
    ("numen reload web",),
    "7 not running, 10 it does not handle that signal, which would end it",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen reload`; the exit status. Raises DaemonError."""
    return order(TABLE, "Reload", arguments)
