"""The sockets of a network namespace (proc_pid_net(5)), and who is connected to whom (sock_diag(7))."""

from __future__ import annotations

import os
import struct

from ..record import Record
from . import proc

_LISTEN = 10
"""TCP_LISTEN, as /proc/net/tcp writes it in hexadecimal digits: 0A."""

_UNIX_LISTENING = 0x10000
"""__SO_ACCEPTCON in the flags of /proc/net/unix."""


class Socket(Record):
    """One socket."""

    inode: int
    family: str
    """`tcp`, `tcp6`, `udp`, `udp6`, `unix`."""
    address: str
    """The local address, or the path; empty where it has none. An abstract one begins with @."""
    port: int = 0
    is_listening: bool = False
    """Whether others can connect to it, or, without connections, send to it."""
    peer: str = ""
    """The path of the socket that a unix socket is connected to, where that can be told."""
    is_stream: bool = False

    @property
    def is_of_network(self) -> bool:
        """Whether it is of the internet families."""
        return self.family != "unix"

    @property
    def listens_on_all_addresses(self) -> bool:
        """Whether it takes what comes to any address of the machine."""
        return self.is_listening and self.is_of_network and self.address in ("0.0.0.0", "::")  # noqa: S104


def parse_internet(text: bytes, family: str) -> list[Socket]:
    """The sockets in the text of /proc/net/tcp, tcp6, udp or udp6; a line that is none is passed over."""
    found = []
    for line in text.decode("ascii", "replace").split("\n")[1:]:
        fields = line.split()
        try:
            host, _, port = fields[1].partition(":")
            state, inode = int(fields[3], 16), int(fields[9])
            is_connected = int(fields[2].rpartition(":")[2], 16) != 0
            found.append(
                Socket(
                    inode=inode,
                    family=family,
                    address=_address(host),
                    port=int(port, 16),
                    is_listening=state == _LISTEN if family.startswith("tcp") else not is_connected,
                    is_stream=family.startswith("tcp"),
                )
            )
        except (ValueError, IndexError):
            continue
    return found


def _address(digits: str) -> str:
    """The address in hexadecimal digits, each group of eight in the machine's own order of bytes. Raises ValueError."""
    import socket

    given = bytes.fromhex(digits)
    groups = (given[start : start + 4] for start in range(0, len(given), 4))
    packed = b"".join(group[::-1] if _IS_LITTLE else group for group in groups)
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    if len(packed) == 16:
        return socket.inet_ntop(socket.AF_INET6, packed)
    raise ValueError(digits)


_IS_LITTLE = struct.pack("=H", 1) == b"\x01\x00"


def parse_unix(text: bytes) -> list[Socket]:
    """The sockets in the text of /proc/net/unix; a line that is none is passed over."""
    found = []
    for line in text.split(b"\n")[1:]:
        words = line.split(None, 7)
        try:
            flags, kind, inode = int(words[3], 16), int(words[4], 16), int(words[6])
        except (ValueError, IndexError):
            continue
        path = os.fsdecode(words[7]) if len(words) > 7 else ""
        # A datagram socket with a name takes what anybody sends to it.
        is_listening = bool(flags & _UNIX_LISTENING) or (kind == 2 and bool(path))
        found.append(Socket(inode=inode, family="unix", address=path, is_listening=is_listening, is_stream=kind != 2))
    return found


def sockets(pid: int | str = "self") -> dict[int, Socket]:
    """Every socket of the network namespace that a process is in, by its inode; empty where it may not be seen."""
    found: dict[int, Socket] = {}
    for family in ("tcp", "tcp6", "udp", "udp6"):
        for one in parse_internet(proc.read(f"/proc/{pid}/net/{family}") or b"", family):
            found[one.inode] = one
    unix = parse_unix(proc.read(f"/proc/{pid}/net/unix") or b"")
    # Only of our own namespace can the kernel be asked who is connected to whom.
    peers = unix_peers() if _is_own_namespace(pid) else {}
    # A connection that nobody has accepted yet is told too, as a socket without an inode: it is nobody's.
    names = {one.inode: one.address for one in unix if one.inode}
    for one in unix:
        peer = names.get(peers.get(one.inode, 0), "")
        found[one.inode] = one.replace(peer=peer) if peer else one
    found.pop(0, None)
    return found


def _is_own_namespace(pid: int | str) -> bool:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return False


_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_UDIAG_SHOW_PEER = 0x4
_UNIX_DIAG_PEER = 2
_DIAG_PATIENCE = 1.0
"""Seconds for an answer of the kernel's; it comes at once, or there is no such module."""


def unix_peers() -> dict[int, int]:
    """The inode of each connected unix socket's other end, by its own inode (sock_diag(7)); empty where not told."""
    import socket

    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, _UDIAG_SHOW_PEER, 0, 0)
    header = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
    peers: dict[int, int] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 4) as netlink:
            netlink.settimeout(_DIAG_PATIENCE)
            netlink.send(header + request)
            while True:
                done, found = parse_unix_diag(netlink.recv(1 << 16))
                peers.update(found)
                if done:
                    return peers
    except OSError:
        return peers


def parse_unix_diag(data: bytes) -> tuple[bool, dict[int, int]]:
    """Whether the answer ends in these netlink messages, and the peers in them."""
    peers: dict[int, int] = {}
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind in (_NLMSG_DONE, _NLMSG_ERROR) or length < 16:
            return True, peers
        message = data[16:length]
        if len(message) >= 16:
            inode = struct.unpack_from("=I", message, 4)[0]
            attributes = message[16:]
            while len(attributes) >= 4:
                size, attribute = struct.unpack_from("=HH", attributes)
                if attribute == _UNIX_DIAG_PEER and len(attributes) >= 8:
                    peers[inode] = struct.unpack_from("=I", attributes, 4)[0]
                if size < 4:
                    break
                attributes = attributes[(size + 3) & ~3 :]
        data = data[(length + 3) & ~3 :]
    return False, peers
