"""Who has died, and with which status: children of the supervisor, of the keeper, and of neither.

A child stays a zombie until its status is written down. The keeper's children it reaps and tells. What is a child of
neither, because both were killed, is watched by a pidfd; its status is asked of the kernel where that tells.
"""

from __future__ import annotations

import os
import time

from ..kernel import pidfds, proc
from .kernel import Ended
from .life import ProcessId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .house import Keeper

PATIENCE = 0.05
"""Seconds for which the status of one that is no child is waited for, until it is unknown."""

INTERVAL = 0.005
"""Seconds between two looks meanwhile."""


class Watched:
    """A process that is no child of the supervisor's, watched by its pidfd."""

    def __init__(self, process: ProcessId, pidfd: int) -> None:
        self.process, self.pidfd = process, pidfd
        self.gone_since: float | None = None

    def close(self) -> None:
        """Watch no more."""
        os.close(self.pidfd)


class Deaths:
    """All that can die, and who has."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._children: dict[int, ProcessId] = {}
        self._at_once: list[Ended] = []
        self._watched: dict[ProcessId, Watched] = {}
        self._dying: dict[ProcessId, Watched] = {}
        self._told: set[ProcessId] = set()
        self._early: dict[ProcessId, Ended] = {}
        self.are_strangers_kept = False
        """Whether a child that nobody knows may be a daemon of which the fork helper has not told yet."""

    def add_child(self, process: ProcessId) -> None:
        """Remember a child, so that its ending needs no look into /proc; one that came by the helper may have ended."""
        if process in self._early:
            self._at_once.append(self._early.pop(process))
        else:
            self._children[process.pid] = process

    def is_child(self, process: ProcessId) -> bool:
        """Whether it is a child that was spawned by this supervisor, and not reaped."""
        return self._children.get(process.pid) == process

    def watch(self, process: ProcessId) -> int | None:
        """Tell when a process ends that may be no child; the pidfd to be polled, `None` where it is gone already."""
        if process in self._watched:
            return None
        found = proc.stat(process.pid)
        if found is None or found.start_time != process.start_time:
            self._at_once.append(Ended(process=process, status=None))
            return None
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError:
            self._at_once.append(Ended(process=process, status=None))
            return None
        watched = self._watched[process] = Watched(process, pidfd)
        if found.state in proc.DEAD_STATES:
            self.is_dying(process)
        return watched.pidfd

    def pidfd(self, process: ProcessId) -> int:
        """The pidfd by which a process is watched; -1 where it is not."""
        watched = self._watched.get(process)
        return -1 if watched is None else watched.pidfd

    def is_dying(self, process: ProcessId) -> None:
        """The pidfd says that it has ended: ask for the status for a while."""
        watched = self._watched[process]
        if process not in self._dying:
            watched.gone_since = time.monotonic()
            self._dying[process] = watched

    def next_look(self) -> float | None:
        """CLOCK_MONOTONIC at which poll() may find more, with nothing to tell of it."""
        if self._at_once:
            return 0.0
        return time.monotonic() + INTERVAL if self._dying else None

    def poll(self) -> Iterator[Ended]:
        """Each ending that is known now; the next child's is seen when the last one's is reaped."""
        at_once, self._at_once = self._at_once, []
        yield from at_once
        for ended in self._keeper.receive():
            self._told.add(ended.process)
            yield ended
        yield from self._children_ended()
        for watched in list(self._dying.values()):
            if (last := self._asked_for_status(watched)) is not None:
                yield last

    def _children_ended(self) -> Iterator[Ended]:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            ended = Ended(process=self._child(found.si_pid), status=status)
            if self.are_strangers_kept and found.si_pid not in self._children:
                self._early[ended.process] = ended
            elif not self.are_strangers_kept:
                self._early.clear()
            # Whoever takes it calls reap(): otherwise it would be seen again.
            yield ended

    def _child(self, pid: int) -> ProcessId:
        known = self._children.get(pid)
        if known is None:
            found = proc.stat(pid)
            known = ProcessId(pid=pid, start_time=found.start_time if found else 0)
        return known

    def _asked_for_status(self, watched: Watched) -> Ended | None:
        assert watched.gone_since is not None
        if (status := pidfds.zombie_status(watched.process.pid)) is None:
            status = pidfds.exit_status(watched.pidfd)
        if status is None and time.monotonic() < watched.gone_since + PATIENCE:
            return None
        return Ended(process=watched.process, status=status)

    def reap(self, process: ProcessId) -> None:
        """The status is written down: nobody need keep it any longer."""
        if (watched := self._watched.pop(process, None)) is not None:
            self._dying.pop(process, None)
            watched.close()
        if process in self._told:
            self._told.discard(process)
            if not self._told:
                self._keeper.forget()
        if self.is_child(process):
            del self._children[process.pid]
            _reap(process.pid)
        elif _is_own(process):
            _reap(process.pid)

    def close(self) -> None:
        """Watch nobody any more."""
        for watched in self._watched.values():
            watched.close()
        self._watched.clear()
        self._dying.clear()


def _is_own(process: ProcessId) -> bool:
    found = proc.stat(process.pid)
    return found is not None and found.parent == os.getpid() and found.start_time == process.start_time


def _reap(pid: int) -> None:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return
