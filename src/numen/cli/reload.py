"""`numen reload`: let daemons that are kept read their configuration again."""

from __future__ import annotations

from .outcomes import order, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = table(
    "reload",
    "Let daemons read their configuration again: by the signal HUP, or the signal or the command of their definition.",
    ("numen reload web",),
    "1 its reload_command has failed, 7 not running, 10 it does not handle that signal, which would end it",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen reload`; the exit status. Raises DaemonError."""
    return order(TABLE, "Reload", arguments)
