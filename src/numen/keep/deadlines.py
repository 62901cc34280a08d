"""Whose deadline comes first: the deadlines of all lives, in a heap.

What a life no longer waits for stays in the heap until it comes to the front, or until too much of it is such.
"""

from __future__ import annotations

import heapq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .kept import Daemon

MOST_STALE = 100
"""The heap is made anew when it holds so many more than two for each daemon."""


class Deadlines:
    """The deadlines of these daemons."""

    def __init__(self, daemons: Mapping[str, Daemon]) -> None:
        self._daemons = daemons
        self._heap: list[tuple[float, str]] = []

    def schedule(self, daemon: Daemon) -> None:
        """Take up the deadline of a life, which has changed."""
        if daemon.life.deadline is None:
            return
        heapq.heappush(self._heap, (daemon.life.deadline, daemon.name))
        if len(self._heap) > MOST_STALE + 2 * len(self._daemons):
            lives = ((daemon.life.deadline, daemon.name) for daemon in self._daemons.values())
            self._heap = [(deadline, name) for deadline, name in lives if deadline is not None]
            heapq.heapify(self._heap)

    def first(self) -> float | None:
        """The first deadline; `None` where there is none."""
        while self._heap:
            deadline, name = self._heap[0]
            daemon = self._daemons.get(name)
            if daemon is not None and daemon.life.deadline == deadline:
                return deadline
            heapq.heappop(self._heap)
        return None

    def next_due(self, now: float) -> Daemon | None:
        """The daemon whose deadline has passed, taken out; `None` where that is so of none."""
        deadline = self.first()
        if deadline is None or deadline > now:
            return None
        _, name = heapq.heappop(self._heap)
        return self._daemons[name]
