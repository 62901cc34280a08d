"""One daemon's log: its FIFO, its file, and one step of moving what waits from the one to the other."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

from ...kernel import pipes
from . import losing, rotation
from .cutting import LONGEST_LINE, MARK, next_cut
from .file import LogFile
from .fitting import Fitting
from .index import Index
from .losing import Fault
from .retention import Retention
from .settings import Lost
from .spool import Spool
from .stamping import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import LogSettings

GATHER = 0.001
"""Seconds for which a pipe may fill before it is moved, unless it is half full: small moves are slow."""


class Log:
    """What the mover has of one daemon's log. One thread at a time uses it."""

    def __init__(
        self,
        name: str,
        pipe: int,
        settings: LogSettings,
        tell: Callable[[str], None],
        compress: Callable[[Log], None],
    ) -> None:
        """`tell` is called with lines for the supervisor's own log, `compress` where older files may be compressed."""
        self.name = name
        self.pipe = pipe
        self.settings = settings
        self.lost = Lost()
        self.taken = 0
        """How many bytes have been taken out of the FIFO."""
        self.is_leaving = False
        self.is_gone = False
        self.successor: Log | None = None
        """What is to be moved under this name once this one is gone."""
        self.is_successor = False
        self.names = threading.Lock()
        """Held while files of this log are renamed: the compression does so in another thread."""
        self.tell = tell
        self._compress = compress
        self._look: pipes.Look | None = None
        self._fault: Fault | None = None
        self._seen: float | None = None
        self._fitting = Fitting()
        self._is_settled = False
        self._use(settings)

    def _use(self, settings: LogSettings) -> None:
        self.settings = settings
        self.file = LogFile(settings.path)
        self._retention = Retention(settings)
        self.index = Index(settings.path)
        self._spool = Spool(settings.spool) if settings.spool else None

    def change(self, settings: LogSettings) -> None:
        """Keep the log in another way from here on."""
        self.file.close()
        self._use(settings)
        self._is_settled = False

    def has_work(self) -> bool:
        """Whether there is something to do though nothing comes from the daemon."""
        has_to_tell = self._fault is not None and self._fault.lost.bytes > 0
        is_pending = self._spool is not None and self._spool.is_pending()
        is_due = self.due is not None and time.time() >= self.due
        return has_to_tell or is_pending or is_due or self.has_to_settle()

    @property
    def due(self) -> float | None:
        """Wall time at which there is something to do though nothing comes from the daemon; `None`: never."""
        return self._retention.due

    def step(self, now: float, look: pipes.Look, *, at_once: bool = False) -> float:
        """Move a part of what waits; return the seconds until the next step, 0 for when something is readable."""
        self._look = look
        waiting = pipes.waiting_bytes(self.pipe)
        if not waiting and not self.has_work():
            return 0
        if self._fault is not None and not (at_once or self._fault.is_retry_due(now)):
            return self._wait_out(self._fault, waiting)
        if self._fault is None and not at_once and waiting and self._may_gather(waiting, now):
            return GATHER
        try:
            self._move(waiting)
        except BlockingIOError:
            return 0
        except OSError as error:
            return self._wait_out(self._failed(error, now), waiting)
        self._end_fault()
        return 0

    def _may_gather(self, waiting: int, now: float) -> bool:
        capacity = self._fitting.fit(self.pipe, waiting)
        if waiting * 2 >= capacity or (self._seen is not None and now - self._seen >= GATHER):
            self._seen = None
            return False
        self._seen = now if self._seen is None else self._seen
        return True

    # Moving

    def _move(self, waiting: int) -> None:
        is_new = self.has_to_settle()
        if is_new:
            self._settle()
        if not waiting and not self.has_work() and not (is_new and self._retention.has_limits()):
            return
        self.file.check()
        now = time.time()
        self._retention.note(self.file, now)
        if self.index.note(self.file.inode, self.file.offset, now):
            with self.names:
                self.index.thin_out(rotation.inodes(self.settings.path))
        spool = self._spool
        if spool is not None and spool.is_pending():
            spool.deliver(self.file, self._limit, self._rotate)
        if self._retention.is_over(now) and self.file.is_at_line_end():
            self._rotate()
        if self._retention.is_any_old(now) or not self._retention.has_room(self.file.offset + waiting):
            with self.names:
                self._retention.prune(self.file.offset + waiting, now)
        if self._fault is not None:
            self._note_loss(self._fault)
        if waiting and spool is not None and self.settings.timestamps:
            self.taken += spool.take(self.pipe, waiting, self.file)
            spool.deliver(self.file, self._limit, self._rotate)
        elif waiting:
            self._move_unstamped(waiting)
        self._retention.plan(self.file, now)

    def _limit(self) -> int:
        """The size from which a new file is begun."""
        size = self.settings.full_size()
        return min(size, self.file.offset) if self._retention.is_over(time.time()) else size

    def _move_unstamped(self, waiting: int) -> None:
        room = self._limit() - self.file.offset
        if waiting <= room:
            self.taken += self.file.take(self.pipe, waiting)
            return
        looked = self._looker().at(self.pipe, min(waiting, max(room, 0) + LONGEST_LINE))
        cut = next_cut(looked, room, at_line_end=self.file.is_at_line_end())
        if cut.rotate:
            self._rotate()
            return
        moved = self.file.take(self.pipe, cut.count) if cut.count else 0
        self.taken += moved
        if cut.mark and moved == cut.count:
            self.file.write(MARK)

    def _looker(self) -> pipes.Look:
        assert self._look is not None
        return self._look

    def has_to_settle(self) -> bool:
        """Whether it is still to be seen what an earlier mover has left."""
        return not self._is_settled and (self.settings.compress or self._retention.has_limits())

    def _settle(self) -> None:
        with self.names, suppress(OSError):
            rotation.settle(self.settings.path)
            self._retention.prune(0, time.time())
        self._is_settled = True
        if self.settings.compress:
            self._compress(self)

    def _rotate(self) -> None:
        if not self._is_settled:
            self._settle()
        with self.names:
            rotation.rotate(self.settings.path, self.settings.keep)
            self._retention.prune(0, time.time())
        self.file.close()
        self.file.check()
        self._retention.note(self.file, time.time())
        self.index.note(self.file.inode, self.file.offset, time.time())
        if self.settings.compress:
            self._compress(self)

    # What goes wrong

    def _failed(self, error: OSError, now: float) -> Fault:
        if self._fault is None:
            cause = error.strerror or str(error)
            if error.filename not in (None, self.settings.path):
                cause = f"{error.filename}: {cause}"
            self._fault = Fault(cause, now)
            pipes.set_capacity(self.pipe, pipes.LARGEST_CAPACITY)
            self.tell(f"cannot write {self.settings.path}: {cause}; what the pipe cannot hold will be lost")
        return self._fault

    def _wait_out(self, fault: Fault, waiting: int) -> float:
        if waiting * 2 >= pipes.capacity(self.pipe):
            self.drop(self._looker(), fault.cause)
        return fault.next_look(waiting) if waiting or self.has_work() else 0

    def drop(self, look: pipes.Look, cause: str) -> None:
        """Lose what the pipe should not hold any longer, so that the daemon need not wait."""
        lost = losing.drop(self.pipe, look)
        if lost.bytes:
            self._has_lost(lost, cause)

    def _has_lost(self, lost: Lost, cause: str) -> None:
        self.lost = losing.added(self.lost, lost)
        self.taken += lost.bytes
        self._fault = self._fault or Fault(cause, time.monotonic())
        self._fault.add(lost)

    def _note_loss(self, fault: Fault) -> None:
        """Let the log say what was lost, before anything that came later."""
        if not fault.lost.bytes:
            return
        begun = self.file.offset
        is_amidst = begun > 0 and not self.file.is_at_line_end()
        mark = stamp(time.time()) if self.settings.timestamps else b""
        try:
            self.file.write((b"\n" if is_amidst else b"") + mark + losing.note(fault.lost, fault.cause))
        except OSError:
            self.file.cut_back(begun)
            raise
        fault.is_noted()

    def _end_fault(self) -> None:
        fault = self._fault
        if fault is not None and not fault.lost.bytes:
            self._fault = None
            told = f"{fault.told.bytes} bytes in {fault.told.lines} lines were lost"
            self.tell(f"{self.settings.path} is written again; {told}: {fault.cause}")

    # The end

    def goal(self) -> int:
        """What `taken` will be when all that waits now has been moved."""
        return self.taken + pipes.waiting_bytes(self.pipe)

    def move_up_to(self, goal: int, look: pipes.Look, deadline: float) -> bool:
        """Move without waiting until the goal is reached or the time is over; whether all of it is in the log."""
        while self.taken < goal or self.has_work():
            self.step(now := time.monotonic(), look, at_once=True)
            if self._fault is not None or now >= deadline:
                return False
        return True

    def is_failing(self) -> bool:
        """Whether it cannot be written."""
        return self._fault is not None

    def give_up(self) -> None:
        """The daemon is gone: what cannot be written is lost."""
        if pipes.waiting_bytes(self.pipe):
            text = os.read(self.pipe, pipes.capacity(self.pipe))
            self._has_lost(Lost(bytes=len(text), lines=text.count(b"\n")), "it came too late")
        if (fault := self._fault) is not None:
            lost = losing.added(fault.lost, fault.told)
            self.tell(f"{lost.bytes} bytes in {lost.lines} lines for {self.settings.path} were lost: {fault.cause}")

    def close(self) -> None:
        """Let the FIFO and the file go."""
        os.close(self.pipe)
        self.file.close()

    def tidy_up(self) -> None:
        """The daemon is gone: leave no spool behind, unless it is still needed."""
        if self._spool is not None and not self._spool.is_pending():
            self._spool.remove()
