"""Who started this process, told by evidence: then a fork would be wrong, and its descriptors are not leftovers.

That the parent is PID 1 proves nothing: in a container that may be any shell.
"""

from __future__ import annotations

import os
import stat


def why_not_detach() -> str | None:
    """Why this process must not fork away from who started it; `None` where nothing says so."""
    pid = str(os.getpid())
    if pid == "1":
        return "it is PID 1"
    if os.environ.get("NOTIFY_SOCKET"):
        return "a service manager waits for its notification (NOTIFY_SOCKET)"
    if os.environ.get("SYSTEMD_EXEC_PID") == pid:
        return "systemd started it (SYSTEMD_EXEC_PID)"
    if os.environ.get("LISTEN_PID") == pid:
        return "a service manager handed it sockets (LISTEN_PID)"
    if is_started_by_inetd():
        return "inetd started it (stdin is a network socket)"
    return None


def is_started_by_inetd() -> bool:
    """Whether stdin is a socket of a network, or one that listens.

    A pair of sockets is not: sshd gives one to the commands that it runs.
    """
    try:
        if not stat.S_ISSOCK(os.fstat(0).st_mode):
            return False
    except OSError:
        return False
    import socket

    with socket.socket(fileno=os.dup(0)) as connection:
        listens = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        return listens or connection.family in (socket.AF_INET, socket.AF_INET6)


def why_not_fork() -> str | None:
    """Why a fork of this process would be unsafe: only the calling thread would live on in the child."""
    import sys

    count = len(sys._current_frames())
    if count > 1:
        threading = sys.modules.get("threading")
        others = [thread.name for thread in threading.enumerate()[1:]] if threading else []
        who = "another thread runs" if count == 2 else f"{count - 1} other threads run"
        return f"{who} in it ({', '.join(others) or 'without a name'}), and a fork would lose what is not its own"
    return "an event loop runs in it, which parent and child would share" if is_in_event_loop() else None


def is_in_event_loop() -> bool:
    """Whether an event loop runs in this thread: its descriptors and its signal handling are its own."""
    import sys

    events = sys.modules.get("asyncio.events")
    return events is not None and events._get_running_loop() is not None


def is_main_thread() -> bool:
    """Whether this is the thread in which signals are handled."""
    import sys

    threading = sys.modules.get("threading")
    return threading is None or threading.current_thread() is threading.main_thread()


def listen_descriptors() -> list[int]:
    """The sockets that a service manager handed to this very process (sd_listen_fds(3))."""
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return []
    return list(range(FIRST_LISTEN_DESCRIPTOR, FIRST_LISTEN_DESCRIPTOR + int(count)))


FIRST_LISTEN_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""
