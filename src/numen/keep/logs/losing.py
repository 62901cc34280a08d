"""What to do while a log cannot be written: keep what the pipe holds, drop what is more, count it, tell of it."""

from __future__ import annotations

import os

from ...kernel import pipes
from .settings import Lost

FIRST_LOOK = 0.01
LONGEST_LOOK = 0.08
"""Seconds between two looks at how full the pipe is: no write of the daemon's may take longer than a tenth."""

FIRST_RETRY = 0.1
LONGEST_RETRY = 1.0
"""Seconds between two tries to write."""


class Fault:
    """A log that cannot be written, from the first failure until a try succeeds."""

    def __init__(self, cause: str, now: float) -> None:
        self.cause = cause
        self.lost = Lost()
        """What the log has not been told of yet."""
        self.told = Lost()
        self._retry_at = now + FIRST_RETRY
        self._retry_wait = FIRST_RETRY
        self._look_wait = FIRST_LOOK
        self._seen = -1

    def is_retry_due(self, now: float) -> bool:
        """Whether to try to write again; if so, the next try is due later."""
        if now < self._retry_at:
            return False
        self._retry_wait = min(self._retry_wait * 2, LONGEST_RETRY)
        self._retry_at = now + self._retry_wait
        return True

    def next_look(self, waiting: int) -> float:
        """Seconds until the pipe, in which so many bytes wait now, has to be looked at again."""
        is_growing = waiting > self._seen
        self._seen = waiting
        self._look_wait = FIRST_LOOK if is_growing else min(self._look_wait * 2, LONGEST_LOOK)
        return self._look_wait

    def add(self, lost: Lost) -> None:
        """Count what was lost."""
        self.lost = added(self.lost, lost)

    def is_noted(self) -> None:
        """The log says now what was lost so far."""
        self.told = added(self.told, self.lost)
        self.lost = Lost()


def added(one: Lost, other: Lost) -> Lost:
    """Both together."""
    return Lost(bytes=one.bytes + other.bytes, lines=one.lines + other.lines)


def note(lost: Lost, cause: str) -> bytes:
    """The line that stands in a log where something was lost."""
    return f"[numen: {lost.bytes} bytes in {lost.lines} lines were lost: {cause}]\n".encode()


def drop(pipe: int, look: pipes.Look) -> Lost:
    """Take the oldest lines out of the pipe if half of what it can hold is in it, until it is a quarter.

    Raises OSError.
    """
    lost = Lost()
    capacity = pipes.capacity(pipe)
    while (waiting := pipes.waiting_bytes(pipe)) * 2 >= capacity:
        seen = look.at(pipe, pipes.LARGEST_CAPACITY)
        too_many = waiting - capacity // 4
        end = seen.find(b"\n", too_many - 1) + 1 or seen.rfind(b"\n") + 1 or len(seen)
        try:
            text = os.read(pipe, end)
        except BlockingIOError:
            break  # a move that was stuck has gone on and taken it
        lost = added(lost, Lost(bytes=len(text), lines=text.count(b"\n")))
    return lost
