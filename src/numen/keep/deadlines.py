"""Whose deadline comes first: one time of each life, by one of the clocks, in a heap.

What a life no longer waits for stays in the heap until it comes to the front, or until too much of it is such.
"""

from __future__ import annotations

import heapq

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .kept import Daemon
    from .life import Life

MOST_STALE = 100
"""The heap is made anew when it holds so many more than two for each daemon."""


def by_monotonic(life: Life) -> float | None:
    """CLOCK_MONOTONIC at which something is due of a life."""
    if life.wake is None or life.deadline is None:
        return life.deadline if life.wake is None else life.wake
    return min(life.deadline, life.wake)


def by_wall(life: Life) -> float | None:
    """The wall clock at which something is due of a life."""
    return life.wake_wall


def by_health(life: Life) -> float | None:
    """CLOCK_MONOTONIC at which a look at its health is due."""
    return life.health.next_look()


class Deadlines:
    """The deadlines of these daemons."""

    def __init__(self, daemons: Mapping[str, Daemon], time_of: Callable[[Life], float | None] = by_monotonic) -> None:
        self._daemons, self._time_of = daemons, time_of
        self._heap: list[tuple[float, str]] = []

    def schedule(self, daemon: Daemon) -> None:
        """Take up the deadline of a life, which has changed."""
        deadline = self._time_of(daemon.life)
        if deadline is None:
            return
        heapq.heappush(self._heap, (deadline, daemon.name))
        if len(self._heap) > MOST_STALE + 2 * len(self._daemons):
            times = ((self._time_of(one.life), one.name) for one in self._daemons.values())
            self._heap = [(time, name) for time, name in times if time is not None]
            heapq.heapify(self._heap)

    def first(self) -> float | None:
        """The first deadline; `None` where there is none."""
        while self._heap:
            deadline, name = self._heap[0]
            daemon = self._daemons.get(name)
            if daemon is not None and self._time_of(daemon.life) == deadline:
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
