"""What a daemon tells its launcher by sd_notify(3), heard; `notify` is the daemon's side."""

from __future__ import annotations

import os
import socket
import struct

from ..record import Record

_CREDENTIALS = struct.Struct("iii")
_DESCRIPTOR = struct.Struct("i")

MESSAGE_LIMIT = 65536
"""Bytes of one notification; systemd's own limit is lower (4096)."""

DESCRIPTORS_LIMIT = 253
"""SCM_MAX_FD of the kernel (unix(7))."""


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

    def __init__(self) -> None:
        name = f"numen/notify/{os.urandom(8).hex()}"
        self.address = "@" + name
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
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(_DESCRIPTOR.size * DESCRIPTORS_LIMIT)
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(MESSAGE_LIMIT, space, socket.MSG_CMSG_CLOEXEC)
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
            return None
        return found


def parse_assignments(data: bytes) -> dict[str, str]:
    """The assignments in a message, the last of each name; lines that are none are passed over."""
    lines = data.decode(errors="replace").split("\n")
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, separator, value in pairs if separator and name}
