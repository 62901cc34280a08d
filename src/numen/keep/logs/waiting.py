"""Waiting for logs: until a pipe is readable, the time of a later step has come, or somebody rings."""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Lock

    from .log import Log

MOST_EVENTS = 256


class Waiting:
    """The logs that are waited for. Who leads waits; the others may add, remove and ring."""

    def __init__(self, lock: Lock) -> None:
        """`lock` is held by those who set a log aside or let one go."""
        self._lock = lock
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._by_pipe: dict[int, Log] = {}
        self._later: dict[Log, float] = {}
        """When the logs that are paused have their next step."""
        self._alarms: dict[Log, tuple[float, float]] = {}
        """When the logs have a step though nothing comes: wall time, and CLOCK_MONOTONIC."""

    def add(self, log: Log) -> None:
        """Wait for what comes from this log's pipe."""
        self._by_pipe[log.pipe] = log
        self._epoll.register(log.pipe, select.EPOLLIN)

    def remove(self, log: Log) -> None:
        """Wait for that log no more; for those who hold the lock."""
        self._later.pop(log, None)
        self._alarms.pop(log, None)
        if self._by_pipe.pop(log.pipe, None):
            self._epoll.unregister(log.pipe)

    def set_aside(self, log: Log) -> None:
        """Wait for that log no more until resume(); for those who hold the lock."""
        self._later.pop(log, None)
        self._alarms.pop(log, None)
        if not log.is_gone:
            self._epoll.modify(log.pipe, 0)

    def pause(self, log: Log, seconds: float) -> None:
        """Have that log's next step after that time, whatever its pipe says."""
        if log not in self._later:
            self._listen(log, 0)
        self._later[log] = time.monotonic() + seconds

    def set_alarm(self, log: Log, due: float | None) -> None:
        """Have a step of that log at that wall time, whatever its pipe says; where it is `None`, at none."""
        if due is None or log.is_gone:
            self._alarms.pop(log, None)
        elif log not in self._alarms or self._alarms[log][0] != due:
            self._alarms[log] = due, time.monotonic() + due - time.time()

    def resume(self, log: Log) -> None:
        """Wait for what comes from that log's pipe again."""
        self._later.pop(log, None)
        self._listen(log, select.EPOLLIN)

    def _listen(self, log: Log, events: int) -> None:
        with self._lock:
            if not log.is_gone:
                self._epoll.modify(log.pipe, events)

    def ring(self) -> None:
        """Let wait() return."""
        with suppress(BlockingIOError):
            os.eventfd_write(self._bell, 1)

    def wait(self, *, at_once: bool) -> list[Log]:
        """Wait until there is something to do, and return the logs of which some are ready."""
        events = self._epoll.poll(0 if at_once else self._time_left(), MOST_EVENTS)
        ready = [log for descriptor, _ in events if (log := self._by_pipe.get(descriptor))]
        if len(ready) < len(events):
            with suppress(BlockingIOError):
                os.eventfd_read(self._bell)
        now = time.monotonic()
        # A copy, because one who has been stuck may let its log go at any moment.
        due = [log for log, when in list(self._later.items()) if when <= now]
        for log in due:
            self.resume(log)
        rung = [log for log, (_, when) in list(self._alarms.items()) if when <= now and log not in self._later]
        for log in rung:
            self._alarms.pop(log, None)
        return ready + due + rung

    def _time_left(self) -> float | None:
        times = [
            *self._later.values(),
            *(when for log, (_, when) in list(self._alarms.items()) if log not in self._later),
        ]
        return max(min(times) - time.monotonic(), 0) if times else None

    def close(self) -> None:
        """Wait for nothing any more."""
        os.close(self._bell)
        self._epoll.close()
