"""What nobody catches in a daemon goes to the system log, in threads too; nothing is imported until it happens.

The hooks proper are in `uncaught`. They need `threading` and `socket`, which would cost every daemon more time
at its start than all of the eight steps.
"""

from __future__ import annotations

import _thread
import sys

from .. import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from ..recipe import Prepared


def send_last_words(prepared: Prepared) -> None:
    """Send what nobody catches from here on to the system log, unless that is where stderr goes."""
    if prepared.streams[2].kind not in (streams.JOURNAL, streams.SYSLOG):
        LastWords(streams.ident_for_log(prepared.ident), prepared.recipe.facility)


class LastWords:
    """Stands in for the hooks until the first exception that nobody catches, and then installs them."""

    def __init__(self, ident: str, facility: str) -> None:
        self._ident = ident
        self._facility = facility
        self._previous = sys.excepthook
        sys.excepthook = self._on_uncaught
        threading: Any = sys.modules.get("threading")
        # Before it is imported, `threading` takes its hook from `_thread`.
        self._threads: Any = threading or _thread
        self._name = "excepthook" if threading else "_excepthook"
        self._previous_in_threads = getattr(self._threads, self._name)
        setattr(self._threads, self._name, self._on_uncaught_in_thread)

    def _on_uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self._install_hooks()
        sys.excepthook(kind, error, trace)

    def _on_uncaught_in_thread(self, arguments: Any) -> None:
        import threading

        self._install_hooks()
        threading.excepthook(arguments)

    def _install_hooks(self) -> None:
        import threading

        from .system_log import SystemLog
        from .uncaught import Hooks

        if sys.excepthook == self._on_uncaught:
            sys.excepthook = self._previous
        setattr(self._threads, self._name, self._previous_in_threads)
        if threading.excepthook == self._on_uncaught_in_thread:
            threading.excepthook = self._previous_in_threads
        Hooks(SystemLog(self._ident, self._facility))
