"""One thread leads; a second one follows, and leads when the first is stuck.

The follower sleeps as long as nothing flows. While something does, it looks now and then whether the leader is still
in the same act. Then it leads itself, with a new follower behind it, and the old leader's thread ends when its act
returns.
"""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .log import Log

    T = TypeVar("T")

LOOK = 0.025
"""Seconds between two looks of the follower while logs flow."""

STUCK_LOOKS = 2
"""A leader that is found in the same act so many times more is stuck: for 50 ms or so."""


class Leading:
    """Says who leads. The acts that may be stuck are each for one log."""

    def __init__(self, lead: Callable[[], None], set_aside: Callable[[Log], None], take_back: Callable[[Log], None]):
        """The leader runs `lead`.

        A new one calls `set_aside` for the log with which the old one is stuck, and the old one, once its act has
        returned, calls `take_back`; both hold `lock`.
        """
        self._lead, self._set_aside, self._take_back = lead, set_aside, take_back
        self.lock = threading.Lock()
        self._flow = threading.Event()
        self._leader: threading.Thread | None = None
        self._log: Log | None = None
        """The one with which the leader does something just now."""
        self._acts = 0
        self._is_ending = False

    def start(self) -> None:
        """Start the threads if they do not run; for those who hold the lock."""
        if self._leader is None:
            self._leader = threading.Thread(target=self._lead, name="logs", daemon=True)
            self._leader.start()
            self._begin_to_follow()

    def is_running(self) -> bool:
        """Whether the threads were started."""
        return self._leader is not None

    def is_leader(self) -> bool:
        """Whether the caller leads."""
        return self._leader is threading.current_thread()

    def flows(self) -> None:
        """There is something to do: let the follower look after the leader."""
        if not self._flow.is_set():
            self._flow.set()

    def end(self) -> None:
        """Let the follower end when nothing flows any more."""
        self._is_ending = True
        self._flow.set()

    def act(self, log: Log, what: Callable[[], T]) -> T | None:
        """Do something that may be stuck; `None` where it was, and another thread leads now."""
        with self.lock:
            self._acts += 1
            self._log = log
        result = what()
        with self.lock:
            if self.is_leader():
                self._log = None
                return result
            self._take_back(log)
        return None

    def _begin_to_follow(self) -> None:
        threading.Thread(target=self._follow, name="logs, second", daemon=True).start()

    def _follow(self) -> None:
        while not self._is_ending:
            self._flow.wait()
            self._flow.clear()
            seen, looks = -1, 0
            # Until nothing has flowed since the last look.
            while self._acts != seen or self._log is not None:
                looks = looks + 1 if self._acts == seen else 0
                seen = self._acts
                if looks >= STUCK_LOOKS and self._take_over(seen):
                    self._lead()
                    return
                time.sleep(LOOK)

    def _take_over(self, stuck: int) -> bool:
        """Lead instead of a thread that is stuck in its act of this number, unless it has come out of it."""
        with self.lock:
            if self._log is None or self._acts != stuck:
                return False
            self._leader = threading.current_thread()
            self._set_aside(self._log)
            self._log = None
        self._begin_to_follow()
        return True
