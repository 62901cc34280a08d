"""How much a daemon's pipe may hold: more for one that is busy, and no longer than it is."""

from __future__ import annotations

from ...kernel import pipes

BUSY_MOVES = 4
"""So many times in a row found nearly full, a pipe is made larger."""

CALM_MOVES = 1000
"""So many times in a row found nearly empty, it is made smaller again: a user's pipes share what they may hold."""


class Fitting:
    """Fits one pipe to its daemon."""

    def __init__(self) -> None:
        self._full = self._calm = 0

    def fit(self, pipe: int, waiting: int) -> int:
        """So many bytes wait in the pipe before a move: change its capacity if that is due, and return it."""
        capacity = pipes.capacity(pipe)
        self._full = self._full + 1 if waiting * 4 >= capacity * 3 else 0
        self._calm = self._calm + 1 if waiting * 4 <= pipes.DEFAULT_CAPACITY < capacity else 0
        if self._full == BUSY_MOVES and capacity < pipes.LARGEST_CAPACITY:
            return pipes.set_capacity(pipe, pipes.LARGEST_CAPACITY)
        if self._calm == CALM_MOVES:
            self._calm = 0
            return pipes.set_capacity(pipe, pipes.DEFAULT_CAPACITY)
        return capacity
