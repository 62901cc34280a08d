"""Steps 1 and 2: fork, so that the launcher can exit, and setsid, so that no terminal is left.

    launcher ── fork ──► guard (setsid) ── fork ──► daemon

The recipe's middle process exits at once. Here it stays until the start is decided, as the *guard*: it is
the daemon's parent, so it learns the true exit status of one that dies before it is ready, and it can end
the whole family of one that is not ready in time. It then exits, and the daemon is orphaned as it must be.

The daemon is no session leader, so it cannot get a controlling terminal back by opening one (setsid(2)).
"""

from __future__ import annotations

import os
import sys

from ..errors import DaemonError
from ..kernel import signals
from . import guard
from .report import Pipes


class Forked:
    """What fork_twice() left in the launcher: the guard, and the pipes to it and to the daemon."""

    def __init__(self, guard_pid: int, pipes: Pipes) -> None:
        self.guard_pid = guard_pid
        self.pipes = pipes


def fork_twice(pipes: Pipes, tasks: guard.Tasks) -> Forked | None:
    """Fork the guard and from it the daemon. Returns `None` in the daemon, a `Forked` in the launcher.

    The caller's buffered output is flushed first: a buffer that is copied by a fork is written twice.
    Raises OSError where the system has no room for a process.
    """
    flush_standard_streams()
    guard_pid = os.fork()
    if guard_pid:
        pipes.keep_launcher_ends()
        return Forked(guard_pid, pipes)
    # From here on nothing may return to the caller's code but the daemon itself.
    try:
        # Where the caller ignores SIGCHLD, the kernel would reap the daemon and keep its exit status from the guard.
        signals.signal(signals.SIGCHLD, signals.SIG_DFL)
        os.setsid()
        if tasks.adopts_orphans:
            guard.adopt_orphans()
        daemon_pid = os.fork()
    except OSError as error:
        pipes.reporter().failed(DaemonError(f"cannot fork: {error.strerror}"))
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - the launcher must learn of it, whatever it is
        pipes.reporter().failed(error)
        os._exit(1)
    if daemon_pid:
        guard.watch(daemon_pid, pipes, tasks)
    pipes.keep_daemon_ends()
    return None


def flush_standard_streams() -> None:
    """Write out what Python still holds for stdout and stderr; a stream that is closed or full is left."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            continue
