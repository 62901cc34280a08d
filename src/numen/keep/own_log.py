"""What the supervisor tells in its own log, `numen.log`: written when a turn is over, and when there is room for it.

Its standard error is a FIFO as a daemon's output is, moved to the log by a thread. So a disk that hangs can fill it,
and nothing here waits for that.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Later = Callable[[float, Callable[[], None]], object]

NO_ROOM = 0.01
"""Seconds until what had no room in the FIFO is written again."""

MOST_TOLD = 10000
"""Lines that wait for room there; the oldest are dropped."""


class OwnLog:
    """The lines that are not written yet."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._lines: deque[str] = deque(maxlen=MOST_TOLD)
        self._is_due = False
        """Whether it is to be written again by itself."""

    def tell(self, line: str) -> None:
        """Take a line, for the end of the turn: the thread that moves it need not wake between a death and the
        successor's spawn.
        """
        self._lines.append(f"{line}\n")

    def write(self, later: Later) -> None:
        """Write what was told, a line at a time; what has no room a little `later`, as by loop.call_later()."""
        while self._lines:
            try:
                os.write(self._descriptor, self._lines[0].encode(errors="backslashreplace"))
            except BlockingIOError:
                # One turn after another may come here meanwhile.
                if not self._is_due:
                    self._is_due = True
                    later(NO_ROOM, lambda: self._write_again(later))
                return
            except OSError:
                self._lines.clear()
                return
            self._lines.popleft()

    def _write_again(self, later: Later) -> None:
        self._is_due = False
        self.write(later)

    def write_at_once(self, lines: str) -> None:
        """Write lines now; what has no room is dropped."""
        with suppress(OSError):
            os.write(self._descriptor, lines.encode(errors="backslashreplace"))
