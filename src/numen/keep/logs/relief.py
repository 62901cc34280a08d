"""A disk that hangs: its daemons' pipes are made large, and once that is full, what comes is dropped and counted.

While splice(2) waits for a disk, the kernel may hold the pipe's lock, and then even the question how much is in the
pipe waits. So the log whose move is stuck has a thread of its own here, for as long as that lasts.
"""

from __future__ import annotations

import threading
import time

from ...kernel import pipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .log import Log

LOOK = 0.02
"""Seconds between two looks at a pipe."""

PATIENT_LOOKS = 50
"""So many looks long, a second or so, a daemon waits rather than that its lines are lost: a busy disk is not dead."""

HUGE_CAPACITY = 2**24
"""What root may give to a pipe, to bridge that second."""

CAUSE = "its disk did not answer"


class Hung:
    """A disk that does not answer, and the log whose move is stuck on it."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.orders: list[tuple[Log, Callable[[pipes.Look], None]]] = []
        """What is to be done with that disk's logs when it answers again."""
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._looks = 0

    def is_under(self, log: Log) -> bool:
        """Whether that log is on this disk."""
        is_same = log.settings.path == self.log.settings.path
        return is_same or log.file.device == self.log.file.device >= 0

    def begin(self) -> None:
        """Watch the stuck log's pipe, in a thread of its own."""
        threading.Thread(target=self._watch, name="logs, relief", daemon=True).start()

    def end(self) -> None:
        """Leave the stuck log alone."""
        with self._lock:
            self._is_over.set()

    def seconds(self) -> float:
        """For how long it has hung."""
        return time.monotonic() - self._since

    def relieve(self, log: Log, look: pipes.Look) -> None:
        """Let the pipe hold more, and after a while drop what it cannot hold."""
        enlarge(log.pipe)
        if self._looks > PATIENT_LOOKS:
            log.drop(look, CAUSE)

    def _watch(self) -> None:
        look = pipes.Look()
        try:
            # Looks are counted, not seconds: where this whole process was stopped meanwhile, the disk is not to blame.
            while not self._is_over.wait(LOOK):
                with self._lock:
                    if not self._is_over.is_set():
                        self._looks += 1
                        self.relieve(self.log, look)
        finally:
            look.close()


class HungDisks:
    """The disks that do not answer just now. Those who change it hold the same lock."""

    def __init__(self) -> None:
        self._all: list[Hung] = []
        self._none = threading.Event()
        self._none.set()

    def under(self, log: Log) -> Hung | None:
        """The one under that log, if it hangs."""
        return next((hung for hung in self._all if hung.is_under(log)), None)

    def add(self, log: Log) -> None:
        """A move of that log is stuck."""
        self._none.clear()
        self._all.append(hung := Hung(log))
        if not log.is_gone:
            hung.begin()

    def leave_alone(self, log: Log) -> None:
        """Touch that log's pipe no more, though something may be stuck yet."""
        for hung in self._all:
            if hung.log is log:
                hung.end()

    def remove(self, log: Log) -> Hung:
        """The move that was stuck has returned."""
        hung = next(hung for hung in self._all if hung.log is log)
        hung.end()
        self._all.remove(hung)
        if not self._all:
            self._none.set()
        return hung

    def wait_for_none(self, patience: float) -> bool:
        """Wait so long until all answer again; whether they do."""
        return self._none.wait(patience)


def enlarge(pipe: int) -> None:
    """Let the pipe hold as much as this user may give it."""
    if pipes.capacity(pipe) < pipes.LARGEST_CAPACITY and pipes.set_capacity(pipe, HUGE_CAPACITY) < HUGE_CAPACITY:
        pipes.set_capacity(pipe, pipes.LARGEST_CAPACITY)
