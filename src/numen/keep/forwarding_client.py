"""The supervisor's side of the forwarder: write down what is to be forwarded, start it when there is some, tell it.

Nothing here waits, and nothing that fails here keeps a daemon from running.
"""

from __future__ import annotations

import select
import time

from ..become.syslog import journal, sockets
from . import forwarded
from .definitions.definition import JOURNAL, SYSLOG
from .forwarded import Forwarded
from .helper import Helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = {SYSLOG: sockets.SYSLOG_SOCKET, JOURNAL: journal.NATIVE_SOCKET}

SHORTEST = 1.0
"""Seconds that one has to live, or the next one waits for so long."""


class ForwardingClient:
    """The forwarder, and what it forwards."""

    def __init__(self, directory: str, open_files: int, tell: Callable[[str], None]) -> None:
        """`open_files` is the soft limit of the daemons; `tell` writes to the supervisor's own log."""
        self._directory, self._open_files, self._tell = directory, open_files, tell
        self._epoll = select.epoll()
        self._helper: Helper | None = None
        self._started_at = 0.0
        found = {key: Forwarded.read(directory, key) for key in forwarded.keys(directory)}
        # The forwarder forgets those that have ended by itself.
        self._logs = {key: log for key, log in found.items() if log is not None and not log.has_ended}

    def fileno(self) -> int:
        """A descriptor that is readable when receive() has something to do."""
        return self._epoll.fileno()

    def resume(self, is_known: Callable[[str], bool]) -> None:
        """Let go on what an earlier supervisor has left; daemons that are not known have been removed."""
        for key, log in list(self._logs.items()):
            if not is_known(log.ident):
                self.end(key)
        if self._helper is None and forwarded.keys(self._directory):
            self._start()

    def follow(self, key: str, log: Forwarded) -> None:
        """Forward a log from now on as this says; where it goes already, it goes on, and has its pid."""
        before = self._logs.get(key)
        if before is None and not log.targets:
            return
        if before is not None:
            pid = log.pid or before.pid
            targets = {target: before.targets.get(target, begin) for target, begin in log.targets.items()}
            log = log.replace(targets=targets, pid=pid)
        self._write(key, log)

    def begin_run(self, key: str, pid: int) -> None:
        """What comes from now on is of that process."""
        if (log := self._logs.get(key)) is not None:
            self._write(key, log.replace(pid=pid))

    def end(self, key: str) -> None:
        """Nothing more comes."""
        if (log := self._logs.pop(key, None)) is not None:
            self._write(key, log.replace(has_ended=True))
            del self._logs[key]

    def _write(self, key: str, log: Forwarded) -> None:
        is_new = self._logs.get(key) != log
        self._logs[key] = log
        try:
            if is_new:
                log.write(self._directory, key)
        except OSError as error:
            self._tell(f"cannot have {log.path} forwarded: {error.filename}: {error.strerror}")
        if self._helper is None:
            self._start()
        elif is_new:
            self._send({"look": key})

    def _start(self, pause: float = 0.0) -> None:
        arguments = [self._directory, str(pause), *(PLACES[target] for target in forwarded.TARGETS)]
        try:
            self._helper = Helper.start("numen.keep.forwarding", self._open_files, arguments=arguments)
        except OSError as error:
            self._tell(f"cannot start the process that forwards logs: {error.strerror}")
            return
        self._started_at = time.monotonic()
        self._epoll.register(self._helper.socket, select.EPOLLIN)

    def _send(self, said: dict[str, str] | None = None) -> None:
        if self._helper is not None:
            self._helper.say(self._epoll, said)

    def receive(self) -> None:
        """Tell what it has to tell, and start another where it has ended."""
        for _, events in self._epoll.poll(0):
            if events & select.EPOLLOUT:
                self._send()
            assert self._helper is not None
            messages, is_over = self._helper.receive()
            for message in messages:
                self._tell(message["tell"])
            if is_over:
                self._epoll.unregister(self._helper.socket)
                self._helper.bury()
                self._helper = None
                self._start(SHORTEST if time.monotonic() - self._started_at < SHORTEST else 0.0)

    def close(self) -> None:
        """Let go of it: it ends, and what it has not sent goes when the next one is there."""
        self._epoll.close()
        if self._helper is not None:
            self._helper.socket.close()
            self._helper = None
