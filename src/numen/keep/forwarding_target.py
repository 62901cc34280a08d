"""One place to which logs are forwarded: the syslog daemon's socket, or journald's. Nothing here waits."""

from __future__ import annotations

import errno
import re
import time
from collections import deque

from ..become.syslog import journal, messages, sockets
from ..become.syslog.entries import FACILITIES, Entry
from .logs.stamping import LENGTH, stamp_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .forwarded import Forwarded

AGAIN = 1.0
"""Seconds from one try to the next while the target is away, and at most while it is full."""

_PREFIX = re.compile(rb"<([0-7])>")


class Target:
    """One target, and the message that it has not taken yet."""

    def __init__(self, kind: sockets.Kind, path: str, tell: Callable[[str], None]) -> None:
        self.kind, self._path, self._tell = kind, path, tell
        self._socket: sockets.LogSocket | None = None
        self._pieces: deque[bytes] = deque()
        self._sent = 0
        """How much of the first piece is sent: a stream may take a part."""
        self._is_away = False
        self.again_at = 0.0
        """CLOCK_MONOTONIC before which there is no sense in trying."""

    def fileno(self) -> int:
        """What is writable when a full target takes more; -1 where nothing tells."""
        return -1 if self._socket is None else self._socket.fileno()

    def is_ready(self) -> bool:
        """Whether it may take something now."""
        return time.monotonic() >= self.again_at

    def wake(self) -> None:
        """It is writable."""
        self.again_at = 0.0

    def put(self, line: bytes, log: Forwarded) -> None:
        """Have a line to send; only where the one before is sent."""
        entry = entry_of(line, log)
        if entry.text.strip():
            self._pieces.extend(journal.encode(entry) if self.kind == "journal" else messages.rfc3164(entry))

    def flush(self) -> bool:
        """Send what it takes at once; whether nothing is left."""
        while self._pieces:
            if self._socket is None and not self._connect():
                return False
            assert self._socket is not None
            piece = self._pieces[0] + b"\0" if self._socket.is_stream else self._pieces[0]
            try:
                taken = self._socket.transmit(piece[self._sent :])
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    self._disconnect()
                    continue
                self._tell(f"a line of {len(piece)} bytes is too long for {self.kind}, and stands in its log alone")
                taken = len(piece) - self._sent
            self._sent += taken
            if self._sent < len(piece):
                if not taken:
                    self.again_at = time.monotonic() + AGAIN
                    return False
                continue
            self._pieces.popleft()
            self._sent = 0
        return True

    def _connect(self) -> bool:
        self._socket = sockets.connect(self.kind, self._path)
        if self._socket is None:
            self.again_at = time.monotonic() + AGAIN
            if not self._is_away:
                self._tell(f"nobody listens at {self._path}: what is to go to the {self.kind} waits in the logs")
            self._is_away = True
            return False
        if self._is_away:
            self._tell(f"{self._path} listens again, and gets what has waited in the logs")
        self._is_away = False
        return True

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._sent = None, 0


def entry_of(line: bytes, log: Forwarded) -> Entry:
    """A line of a log as a message; a `<N>` before it is its priority (sd-daemon(3))."""
    stamped = stamp_of(line)
    text = line if stamped is None else line[LENGTH:]
    priority = log.priority
    if (found := _PREFIX.match(text)) is not None:
        priority, text = int(found[1]), text[found.end() :]
    return Entry(
        ident=log.ident,
        facility=FACILITIES["daemon"],
        priority=priority,
        text=text.decode(errors="backslashreplace"),
        time=time.time() if stamped is None else stamped,
        pid=log.pid,
    )
