"""Readiness and state, told to whoever started this process (sd_notify(3)); `listener` is the other side.

Each function does nothing, and returns false, where NOTIFY_SOCKET is not set; none raises because the other side is
gone. `socket` is imported when there is somebody to tell: most daemons are started without, and need not wait for it.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from socket import socket

SEND_TIMEOUT = 5.0
"""Seconds after which a receiver that does not read is given up."""


def notify(*assignments: str, descriptors: Sequence[int] = (), unset: bool = False) -> bool:
    """Send `NAME=VALUE` assignments in one message; whether it was sent.

    With `unset`, NOTIFY_SOCKET is taken out of the environment, so that children do not notify.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if unset:
        os.environ.pop("NOTIFY_SOCKET", None)
    if not address:
        return False
    try:
        with _connect(address) as connection:
            return _send(connection, "\n".join(assignments), descriptors)
    except (OSError, ValueError):
        return False


def ready(status: str = "") -> bool:
    """Say that start-up, or a reload, is finished; with a line of words on the state if wished."""
    return notify("READY=1", *_status(status))


def status(text: str) -> bool:
    """Say in a line of words how things stand."""
    return notify(*_status(text))


def reloading() -> bool:
    """Say that the configuration is being read again; ready() ends that."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return notify("RELOADING=1", f"MONOTONIC_USEC={now}")


def stopping(status: str = "") -> bool:
    """Say that the end has begun."""
    return notify("STOPPING=1", *_status(status))


def failed(number: int, status: str = "") -> bool:
    """Say that the start failed, with an errno."""
    return notify(f"ERRNO={number}", *_status(status))


def main_pid(pid: int) -> bool:
    """Say which process is the daemon, where it is not the one that was started."""
    return notify(f"MAINPID={pid}")


def extend_timeout(seconds: float) -> bool:
    """Ask for so many seconds more, from now, for what is in progress."""
    return notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}")


def watchdog() -> bool:
    """Say that all is well; to be sent more often than watchdog_interval()."""
    return notify("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """The seconds within which a sign of life is expected; `None` where none is (sd_watchdog_enabled(3))."""
    pid = os.environ.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()):
        return None
    return int(microseconds) / 1_000_000 or None


def store_descriptors(descriptors: Sequence[int], name: str = "") -> bool:
    """Give descriptors to the service manager, to be had back after a restart (sd_pid_notify_with_fds(3))."""
    naming = [f"FDNAME={name}"] if name else []
    return notify("FDSTORE=1", *naming, descriptors=descriptors)


def remove_stored_descriptors(name: str) -> bool:
    """Let the service manager forget the descriptors of that name."""
    return notify("FDSTOREREMOVE=1", f"FDNAME={name}")


def barrier(timeout: float = 5.0) -> bool:
    """Wait until all that was sent before has been read, for at most `timeout` seconds; whether it was."""
    import select

    reader, writer = os.pipe()
    try:
        sent = notify("BARRIER=1", descriptors=[writer])
        os.close(writer)
        writer = -1
        poll = select.poll()
        poll.register(reader, select.POLLHUP)
        # The receiver closes its copy of the writing end when it comes to this message.
        return sent and bool(poll.poll(timeout * 1000))
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def _status(text: str) -> list[str]:
    return ["STATUS=" + " ".join(text.splitlines())] if text else []


def _connect(address: str) -> socket:
    """A socket that is connected to `/path`, `@abstract` or `vsock:CID:PORT`. Raises OSError, ValueError."""
    import socket

    refused: OSError | None = None
    for family, kind, target in _candidates(address):
        try:
            connection = socket.socket(family, kind | socket.SOCK_CLOEXEC)
        except OSError as error:
            refused = error
            continue
        try:
            connection.settimeout(SEND_TIMEOUT)
            connection.connect(target)
        except OSError as error:
            connection.close()
            refused = error
            continue
        return connection
    raise refused or ValueError(f"NOTIFY_SOCKET is {address!r}")


def _candidates(address: str) -> Iterator[tuple[int, int, str | tuple[int, int]]]:
    """The family, kind and target of each socket that may reach an address, the likeliest first."""
    import socket

    if address[0] in "/@":
        yield socket.AF_UNIX, socket.SOCK_DGRAM, address.replace("@", "\0", 1) if address[0] == "@" else address
        return
    scheme, cid, port = address.split(":")
    kinds = {
        "vsock": [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM],
        "vsock-dgram": [socket.SOCK_DGRAM],
        "vsock-seqpacket": [socket.SOCK_SEQPACKET],
        "vsock-stream": [socket.SOCK_STREAM],
    }
    # A number that is too large would be cut to some other one on its way to the kernel.
    if 0 <= int(cid) < 2**32 and 0 <= int(port) < 2**32:
        for kind in kinds.get(scheme, ()):
            yield socket.AF_VSOCK, kind, (int(cid), int(port))


def _send(connection: socket, text: str, descriptors: Sequence[int]) -> bool:
    import array
    import socket

    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([text.encode(errors="surrogateescape")], rights, socket.MSG_NOSIGNAL)
    return True
