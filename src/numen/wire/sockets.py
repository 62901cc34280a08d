"""Unix sockets: names that are too long for them, and who is at the other end."""

from __future__ import annotations

import os
import socket
import struct

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 107
"""Bytes of a path in struct sockaddr_un, its NUL not counted."""

_CREDENTIALS = struct.Struct("iII")
"""struct ucred."""


class Peer(Record):
    """Who is at the other end: who connected, or who listened, as it was then."""

    pid: int
    """0 where it is in a pid namespace that this process cannot see."""
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end, as the kernel says (SO_PEERCRED)."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(found)
    return Peer(pid=pid, uid=uid, gid=gid)


def is_trusted(peer: Peer) -> bool:
    """Whether it is of this process's user or of root, who may do all that this user may."""
    return peer.uid in (0, os.geteuid())


def at_path(act: Callable[[str], None], path: str) -> None:
    """Bind or connect: call `act` with the path, or with a shorter one of the same file where it is too long."""
    if len(os.fsencode(path)) <= LONGEST:
        return act(path)
    directory, name = os.path.split(path)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return act(f"/proc/self/fd/{fd}/{name}")
    finally:
        os.close(fd)
