"""One process, seen, signalled and waited for through a pidfd where the kernel has them (pidfd_open(2)).

A pid alone is a number that the kernel uses again. A `Process` also knows when its process started, so
that no signal ever reaches another one that was given the same number.
"""

from __future__ import annotations

import os
import select
import time

from . import proc, signals

POLL_INTERVAL = 0.02
"""Seconds between two looks where the kernel has no pidfd (before 5.3, or a container that forbids it)."""

LONGEST_POLL = 86400.0
"""Seconds after which the clock is looked at again: poll(2) counts milliseconds in an int."""


class Process:
    """The process `pid` that started at `start_time` (clock ticks since boot), or that runs now if not given."""

    def __init__(self, pid: int, start_time: int | None = None) -> None:
        self.pid = pid
        if start_time is None:
            found = proc.stat(pid)
            start_time = found.start_time if found else None
        self.start_time = start_time

    def is_alive(self) -> bool:
        """Whether that very process runs; a zombie does not."""
        if self.pid <= 0:
            return False
        found = proc.stat(self.pid)
        if found is None:
            return self._is_hidden()
        if found.state in proc.DEAD_STATES:
            return False
        return self.start_time is None or found.start_time == self.start_time

    def _is_hidden(self) -> bool:
        """Whether a process lives whose /proc entry may not be seen (hidepid, proc(5))."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return self.start_time is None

    def open_pidfd(self) -> int | None:
        """A descriptor that stands for this very process; `None` where it is gone or the kernel has none."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except (OSError, AttributeError):
            return None
        # Looked at after the opening: if it lives now, the descriptor is its own.
        if self.is_alive():
            return pidfd
        os.close(pidfd)
        return None

    def send_signal(self, number: int) -> bool:
        """Send a signal; false where the process is gone. Raises PermissionError."""
        pidfd = self.open_pidfd()
        try:
            if pidfd is not None:
                try:
                    signals.pidfd_send_signal(pidfd, number)
                except ProcessLookupError:
                    return False
                except OSError:
                    pass  # refused by a seccomp filter, or truly not permitted: kill(2) tells which
                else:
                    return True
            if not self.is_alive():
                return False
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        finally:
            if pidfd is not None:
                os.close(pidfd)
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the process has ended, for at most `timeout` seconds; whether it has."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pidfd = self.open_pidfd()
        if pidfd is None:
            return self._wait_by_looking(deadline)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            while True:
                left = LONGEST_POLL if deadline is None else max(0.0, deadline - time.monotonic())
                if poll.poll(min(left, LONGEST_POLL) * 1000):
                    return True
                if left < LONGEST_POLL:
                    return False
        finally:
            os.close(pidfd)

    def _wait_by_looking(self, deadline: float | None) -> bool:
        while self.is_alive():
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(POLL_INTERVAL)
        return True
