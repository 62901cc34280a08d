"""The mover: one object for all logs, with threads of its own that move what the daemons write.

The thread that leads waits in epoll_wait(2) without a timeout, so nothing wakes while nothing is written. Where it is
stuck in a move, as on a disk that hangs, another leads, and that disk's logs are left alone until the move returns.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from ...kernel import pipes
from .compression import Compressor
from .leading import Leading
from .log import GATHER, Log
from .relief import LOOK as HUNG_LOOK
from .relief import HungDisks
from .settings import Lost
from .waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import LogSettings

    Order = tuple[Log, Callable[[pipes.Look], None]]

LAST_SECONDS = 1.0
"""For how long at most the last bytes are moved when all ends."""

LOOK_AGAIN = 0.05
"""Seconds after which who waits for a log looks whether it has left meanwhile."""

SLICE = 0.01
"""Seconds for which one log is moved in one go: past 50 ms, its disk seems to hang."""

AFTER_OWN_FAULT = 1.0
"""Seconds until a log is tried again with which numen itself has failed."""

WORTH_TELLING = 1.0
"""Seconds from which the supervisor's own log tells of a disk that hung."""


class Mover:
    """Moves the logs of all daemons. Its methods are for any thread, and do not wait where nothing else is said."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` is called, in a thread of the mover's, with each line for the supervisor's own log."""
        self._tell = tell
        self._logs: dict[str, Log] = {}
        self._orders: deque[Order] = deque()
        self._hung = HungDisks()
        self._leading = Leading(self._lead, self._set_aside, self._take_back)
        self._waiting = Waiting(self._leading.lock)
        self._compressor = Compressor()
        self._is_closing = self._is_closed = False
        self._has_ended = threading.Event()

    # What callers use

    def add(self, name: str, pipe: int, settings: LogSettings) -> None:
        """Move what comes from the FIFO, an O_RDWR|O_NONBLOCK descriptor that is the mover's from here on."""
        with self._leading.lock:
            before = self._logs.get(name)
            log = self._logs[name] = Log(name, pipe, settings, self._tell, self._compressor.add)
            if before is None:
                self._install(log)
            else:
                assert before.is_leaving, f"{name} has a log already"
                before.successor = log
                log.is_successor = True
            self._leading.start()

    def change(self, name: str, settings: LogSettings) -> None:
        """Keep the log in another way from here on."""
        log = self._logs[name]
        self._order(log, lambda _look: self._change(log, settings))

    def remove(self, name: str, then: Callable[[], None] = lambda: None) -> None:
        """Nothing of the daemon runs: move what is in the FIFO, close it and the file, then call `then`.

        That is called in a thread of the mover's.
        """
        log = self._logs[name]
        log.is_leaving = True
        self._order(log, lambda look: self._leave(log, look, then))

    def lost(self, name: str) -> Lost:
        """What was lost of that log since it was added."""
        log = self._logs.get(name)
        return log.lost if log else Lost()

    def flush(self, name: str, patience: float) -> bool:
        """Wait until all that the daemon has written so far is in its log; false if that takes too long."""
        log = self._logs.get(name)
        if log is None:
            return True  # it has left, and all has been moved before
        is_moved = threading.Event()
        deadline = time.monotonic() + patience
        self._order(log, lambda look: self._move_all(log, look, None, deadline, is_moved.set))
        # One that leaves meanwhile obeys no more; what it had is moved too.
        while not is_moved.wait(max(min(LOOK_AGAIN, deadline - time.monotonic()), 0)):
            if log.is_gone or time.monotonic() >= deadline:
                return log.is_gone
        return True

    def close(self, patience: float) -> bool:
        """Move what waits and end the threads; wait so long for that. The FIFOs keep what comes later.

        False where it took too long: then a thread is stuck in a move, and what it needs stays open.
        """
        if self._is_closed:
            return True
        self._is_closing = True
        self._compressor.close()
        self._leading.end()
        self._waiting.ring()
        deadline = time.monotonic() + patience
        if self._leading.is_running() and not self._has_ended.wait(patience):
            return False
        if not self._hung.wait_for_none(max(deadline - time.monotonic(), 0)):
            return False
        self._is_closed = True
        with self._leading.lock:  # for which who comes back last may still hold it
            for log in self._logs.values():
                log.close()
            self._logs.clear()
            self._waiting.close()
        return True

    # The leader

    def _lead(self) -> None:
        look = pipes.Look()
        try:
            while self._leading.is_leader():
                self._round(look)
                if self._is_closing and not self._orders and self._leading.is_leader():
                    self._end(look)
                    return
        finally:
            look.close()

    def _round(self, look: pipes.Look) -> None:
        """Wait until something can be moved, and move a part of each."""
        ready = self._waiting.wait(at_once=self._is_closing)
        self._leading.flows()
        self._obey(look)
        pauses = []
        for log in ready:
            if not self._leading.is_leader():
                return
            pauses.append(self._step(log, look))
        if GATHER in pauses and 0 not in pauses:
            time.sleep(GATHER)

    def _obey(self, look: pipes.Look) -> None:
        while self._orders and self._leading.is_leader():
            log, order = self._orders.popleft()
            with self._leading.lock:
                if hung := self._hung.under(log):
                    hung.orders.append((log, order))
                    continue
            if not log.is_gone:
                self._act(log, lambda: order(look))  # noqa: B023 - it is called at once

    def _step(self, log: Log, look: pipes.Look) -> float:
        """Do one step with a log, and see to its next one; return what it says of that."""
        if log.is_gone:
            return 0
        pause = self._act(log, lambda: self._one_step(log, look)) or 0
        if pause > GATHER:
            self._waiting.pause(log, pause)
        if self._leading.is_leader():
            self._waiting.set_alarm(log, log.due)
        return pause

    def _act(self, log: Log, what: Callable[[], float | None]) -> float | None:
        def safely() -> float | None:
            try:
                return what()
            except Exception as error:  # noqa: BLE001 - a fault of numen's own with one log must not end all others
                self._tell(f"numen itself has failed with {log.settings.path}, please report it: {error!r}")
                return AFTER_OWN_FAULT

        return self._leading.act(log, safely)

    def _one_step(self, log: Log, look: pipes.Look) -> float:
        log.file.find_device()
        if hung := self._hung.under(log):
            hung.relieve(log, look)
            return HUNG_LOOK
        return log.step(time.monotonic(), look)

    def _end(self, look: pipes.Look) -> None:
        """Move what there is now, and no more: the daemons may write on, and the next supervisor moves that."""
        deadline = time.monotonic() + LAST_SECONDS
        for log in list(self._logs.values()):
            if self._hung.under(log) is None:
                self._act(log, lambda: log.move_up_to(log.goal(), look, deadline))  # noqa: B023
            if not self._leading.is_leader():
                return
        self._has_ended.set()

    # Disks that hang

    def _set_aside(self, log: Log) -> None:
        """Somebody is stuck with this log: leave it, and what is on its disk, alone."""
        self._waiting.set_aside(log)
        self._hung.add(log)

    def _take_back(self, log: Log) -> None:
        """Nobody is stuck with it any more: its log, and its disk's, are moved on by the one who leads now."""
        hung = self._hung.remove(log)
        seconds = hung.seconds()
        self._orders.extend(hung.orders)
        self._order(log, lambda _look: self._come_back(log, seconds))

    def _come_back(self, log: Log, seconds: float) -> None:
        self._waiting.resume(log)
        if seconds >= WORTH_TELLING:
            self._tell(f"the disk under {log.settings.path} did not answer for {seconds:.1f} seconds")

    # Logs

    def _order(self, log: Log, order: Callable[[pipes.Look], None]) -> None:
        self._orders.append((log, order))
        self._waiting.ring()

    def _install(self, log: Log) -> None:
        log.is_successor = False
        self._waiting.add(log)
        if log.settings.spool or log.has_to_settle():
            # Something may be left to do from before, though the daemon writes nothing.
            self._order(log, lambda _look: self._waiting.pause(log, 0))

    def _change(self, log: Log, settings: LogSettings) -> None:
        log.change(settings)
        self._waiting.pause(log, 0)

    def _move_all(
        self, log: Log, look: pipes.Look, goal: int | None, deadline: float, then: Callable[[], None]
    ) -> None:
        """Move all that waits now, a bit at a time so that the others need not wait; then do the next thing."""
        goal = log.goal() if goal is None else goal
        if log.move_up_to(goal, look, time.monotonic() + SLICE):
            then()
        elif time.monotonic() < deadline and not log.is_failing():
            self._order(log, lambda look: self._move_all(log, look, goal, deadline, then))

    def _leave(self, log: Log, look: pipes.Look, then: Callable[[], None]) -> None:
        if log.is_successor:
            # The one before is not gone yet.
            self._order(log, lambda look: self._leave(log, look, then))
            return
        all_moved = log.move_up_to(log.goal(), look, time.monotonic() + SLICE)
        if not all_moved and not log.is_failing():
            self._order(log, lambda look: self._leave(log, look, then))
            return
        log.give_up()
        with self._leading.lock:
            log.is_gone = True
            self._hung.leave_alone(log)
            self._waiting.remove(log)
        log.close()
        log.tidy_up()
        with self._leading.lock:
            if log.successor is not None:
                self._install(log.successor)
            else:
                del self._logs[log.name]
        then()
