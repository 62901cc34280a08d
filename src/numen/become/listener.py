"""What a daemon tells its launcher by sd_notify(3), heard; `notify` is the daemon's side."""

from __future__ import annotations

import os
import select
import socket
import struct
import time

from ..kernel.process import Process
from ..record import Record
from . import descriptors as opened

_CREDENTIALS = struct.Struct("iii")
_DESCRIPTOR = struct.Struct("i")

MESSAGE_LIMIT = 65536
"""Bytes of one notification; systemd's own limit is lower (4096)."""

DESCRIPTORS_LIMIT = 253
"""SCM_MAX_FD of the kernel (unix(7))."""

LINGERING_TIME = 5.0
"""Seconds for which somebody listens when the daemon is up; systemd-notify(1) waits as long for its barrier."""

LOOK_INTERVAL = 0.1
"""Seconds between two looks at the daemon where the kernel has no pidfd."""


class Notification(Record):
    """One message that came in."""

    assignments: dict[str, str]
    pid: int
    """The sender's, as the kernel says."""
    uid: int
    descriptors: tuple[int, ...]

    def number(self, name: str) -> int | None:
        """The value of an assignment as a whole number; `None` where it is missing or is none."""
        value = self.assignments.get(name, "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None

    def close(self) -> None:
        """Close the descriptors that came along; this is what ends a barrier."""
        for descriptor in self.descriptors:
            os.close(descriptor)


class Listener:
    """A notification socket, in the abstract namespace so that a daemon in a chroot reaches it too."""

    def __init__(self, name: str | None = None, bound: int | None = None) -> None:
        """Bind a name, by default a random one; `bound` is a socket that has it already."""
        name = name or f"numen/notify/{os.urandom(8).hex()}"
        self.address = "@" + name
        if bound is not None:
            self._socket = socket.socket(fileno=bound)
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + name)

    def fileno(self) -> int:
        """The descriptor to be polled."""
        return self._socket.fileno()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def receive(self) -> Notification | None:
        """The next message; `None` where there is none, or one that is no notification."""
        found = self._receive(0)
        return None if found is None or found.pid < 0 else found

    def peek(self) -> Notification | None:
        """The next message, left to be received; its pid and uid are -1 if it is no notification."""
        return self._receive(socket.MSG_PEEK)

    def _receive(self, flag: int) -> Notification | None:
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size * DESCRIPTORS_LIMIT)
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(MESSAGE_LIMIT, space, socket.MSG_CMSG_CLOEXEC | flag)
        except OSError:
            return None
        pid = uid = -1
        descriptors: list[int] = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid, uid, _ = _CREDENTIALS.unpack(content[: _CREDENTIALS.size])
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = len(content) - len(content) % _DESCRIPTOR.size
                descriptors += [number for (number,) in _DESCRIPTOR.iter_unpack(content[:whole])]
        found = Notification(assignments=parse_assignments(data), pid=pid, uid=uid, descriptors=tuple(descriptors))
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or pid < 0:
            found.close()
            return Notification(assignments={}, pid=-1, uid=-1, descriptors=())
        return found


def leave_lingering(listener: Listener, daemon_pid: int) -> None:
    """Leave a process behind that receives for a while what comes when the daemon is up, and ends with the daemon.

    A sender that says READY=1 and then waits at a barrier, as systemd-notify(1) does, would fail if nobody listened.
    Called in the guard, which exits next. So all else is closed here, before the launcher sees it exit: what is left
    behind holds no pipe, lock or directory of the launcher's. Where there is no room for a process, there is none.
    """
    try:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        for number in opened.STANDARD_STREAMS:
            opened.put(null, number)
        opened.close_all(keep=(listener.fileno(),))
        os.chdir("/")
        if os.fork():
            return
    except OSError:
        return
    try:
        # Who is signalled with the daemon's process group shall be the daemon's.
        os.setsid()
        _linger(listener, Process(daemon_pid))
    finally:
        os._exit(0)


def _linger(listener: Listener, daemon: Process) -> None:
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    pidfd = daemon.open_pidfd()
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + LINGERING_TIME
    while daemon.is_alive() and (left := deadline - time.monotonic()) > 0:
        readable = dict(poll.poll((left if pidfd is not None else min(left, LOOK_INTERVAL)) * 1000))
        if listener.fileno() in readable and (message := listener.receive()) is not None:
            message.close()


def parse_assignments(data: bytes) -> dict[str, str]:
    """The assignments in a message, the last of each name; lines that are none are passed over."""
    lines = data.decode(errors="replace").split("\n")
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, separator, value in pairs if separator and name}
