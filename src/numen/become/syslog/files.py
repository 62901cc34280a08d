"""The file that takes what the system log does not: one line a line of the message, each with its head.

It is opened at once and kept open, so that a path which cannot be used is told beforehand and the file is
there after privileges are dropped or the root directory is changed. When it has been renamed or removed,
as logrotate does, it is opened anew.
"""

from __future__ import annotations

import os

from ...errors import from_os_error
from .entries import PRIORITIES, lines, timestamp
from .sockets import above_standard_streams, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .entries import Entry


class LogFile:
    """A file that entries are appended to."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._identity: tuple[int, int] | None = None
        self._is_torn = False
        try:
            self._open()
        except OSError as error:
            raise from_os_error(error, f"open the log file {self.path}") from error

    def fileno(self) -> int:
        """The descriptor, or -1 where somebody has closed it."""
        return self._descriptor if self._is_ours() else -1

    def write(self, entry: Entry) -> bool:
        """Append the entry; False where the file does not take all of it."""
        head = f"{timestamp(entry.time)} {entry.ident}[{entry.pid}] {PRIORITIES[entry.priority]}: ".encode("ascii")
        content = b"".join(head + line + b"\n" for line in lines(entry.text))
        # After a line that a full disk has cut off, the next one begins on a line of its own.
        content = b"\n" * self._is_torn + content
        try:
            self._open_anew_if_moved()
            written = os.write(self._descriptor, content)
        except OSError:
            return False
        self._is_torn = written < len(content)
        return not self._is_torn

    def close(self) -> None:
        """Let go of the file; a number that is no longer ours stays open."""
        if self._is_ours():
            os.close(self._descriptor)
        self._identity = None

    def _open(self) -> None:
        # O_NONBLOCK is for a path that turns out to be a FIFO: nothing may wait for its reader.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        self._descriptor = above_standard_streams(os.open(self.path, flags, 0o640))
        self._identity = identity(self._descriptor)

    def _is_ours(self) -> bool:
        return self._identity is not None and identity(self._descriptor) == self._identity

    def _open_anew_if_moved(self) -> None:
        try:
            found = os.stat(self.path)
            is_there = (found.st_dev, found.st_ino) == self._identity
        except OSError:
            is_there = False
        if is_there and self._is_ours():
            return
        previous = self._descriptor if self._is_ours() else None
        try:
            self._open()
        except OSError:
            if previous is None:
                raise
            # Without the permission to make a new one, the old file is better than none.
        else:
            if previous is not None:
                os.close(previous)
