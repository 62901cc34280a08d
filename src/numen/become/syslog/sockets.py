"""A connection to the system log: journald's native socket, or the syslog daemon's /dev/log.

Nothing here waits, and nothing here knows what the bytes mean or what becomes of those that are not taken;
`system_log` decides that.
"""

from __future__ import annotations

import errno
import os

from . import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Literal

    Kind = Literal["journal", "syslog"]

SYSLOG_SOCKET = "/dev/log"

FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS)
"""What says that the log is there but takes no more just now."""


class LogSocket:
    """One connected socket."""

    def __init__(self, connected: socket.socket, kind: Kind) -> None:
        import socket

        self.kind: Kind = kind
        self.is_stream = connected.type == socket.SOCK_STREAM
        self._socket = connected
        self._flags = socket.MSG_NOSIGNAL
        self._identity = identity(connected.fileno())

    def fileno(self) -> int:
        """The descriptor, or -1 where somebody has closed it."""
        return self._socket.fileno() if self.is_ours() else -1

    def is_ours(self) -> bool:
        """Whether the descriptor is still this socket.

        A program that closes descriptors by number, as daemonizers do, knows nothing of this object; the
        number may then be another file's, into which no log must go.
        """
        return self._identity is not None and identity(self._socket.fileno()) == self._identity

    def transmit(self, piece: bytes) -> int:
        """Send what is taken at once, and tell how many bytes that are: 0 where the log is full.

        Raises OSError: EMSGSIZE where the piece can never be sent, anything else where the log is gone.
        """
        try:
            return self._socket.send(piece, self._flags)
        except OSError as error:
            if error.errno in FULL:
                return 0
            if error.errno == errno.EMSGSIZE and self.kind == "journal":
                return self._transmit_as_file(piece)
            raise

    def _transmit_as_file(self, piece: bytes) -> int:
        import socket
        import sys

        try:
            descriptor = journal.open_as_file(piece)
        except OSError as error:
            raise OSError(errno.EMSGSIZE, "the entry fits neither a datagram nor memory") from error
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))
            self._socket.sendmsg([], [rights], self._flags)
        except OSError as error:
            if error.errno in FULL:
                return 0
            raise
        finally:
            os.close(descriptor)
        return len(piece)

    def wait_until_writable(self, patience: float) -> None:
        """Return when the log takes more, or is gone, or `patience` seconds are over."""
        import select

        descriptor = self.fileno()
        if descriptor >= 0:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll(patience * 1000)

    def close(self) -> None:
        """Let go of the socket; a number that is no longer ours stays open."""
        if self.is_ours():
            self._socket.close()
        else:
            self._socket.detach()


def connect(kind: Kind, path: str) -> LogSocket | None:
    """A connection to the log of that kind, or None where none listens there."""
    import socket

    types = (socket.SOCK_DGRAM,) if kind == "journal" else (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    for type_ in types:
        try:
            candidate = _open(type_)
        except OSError:
            return None
        try:
            candidate.connect(path)
        except OSError:
            candidate.close()
        else:
            return LogSocket(candidate, kind)
    return None


def _open(type_: int) -> socket.socket:
    import socket

    opened = socket.socket(socket.AF_UNIX, type_)
    if opened.fileno() <= 2:
        opened = socket.socket(fileno=above_standard_streams(opened.detach()))
    opened.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return opened


def above_standard_streams(descriptor: int) -> int:
    """The same open file under a number above 2, close-on-exec.

    In a process that was started with 0, 1 or 2 closed, what is printed would otherwise go into the log.
    """
    if descriptor > 2:
        return descriptor
    import fcntl

    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(descriptor)


def identity(descriptor: int) -> tuple[int, int] | None:
    """What tells one open file from another that has the same number later; None where it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
