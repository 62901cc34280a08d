"""A kernel whose calls are numbered, and that can crash before or after each of them.

It wraps any `keep.kernel.Kernel`. In the simulation a crash is raised; for the real kernel it is SIGKILL to the process
itself. Clocks and chance have no number: nothing is different before and after them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from numen.keep.kernel import Happening, Kernel

BEFORE, AFTER = "before", "after"

UNNUMBERED = frozenset({"monotonic", "wall", "chance", "new_invocation", "boot", "is_alive"})


class Crash(BaseException):  # nobody may catch it as an error
    """The supervisor is killed here."""


def crash() -> NoReturn:
    """Crash as a simulated supervisor does."""
    raise Crash


def kill_myself() -> NoReturn:
    """Crash as a real one does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL was survived")


class NumberedKernel:
    """Passes all calls on; counts those that do something, and crashes where it is told to."""

    def __init__(
        self,
        kernel: Kernel,
        crashes: Mapping[int, str],
        crash: Callable[[], NoReturn] = crash,
        *,
        number: int = 0,
    ) -> None:
        self._kernel = kernel
        self._crashes = crashes
        self._crash = crash
        self.number = number
        """That of the last call."""
        self.last = ""
        """What the last call was."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._kernel, name)
        if name in UNNUMBERED or not callable(found):
            return found
        wrapped = self._numbered_poll if name == "poll" else self._numbered(name, found)
        # Looked up once; the next time it is an attribute like others.
        self.__dict__[name] = wrapped
        return wrapped

    def _numbered(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def numbered(*arguments: Any) -> Any:
            self._count(name)
            result = call(*arguments)
            if self._crashes.get(self.number) == AFTER:
                self._crash()
            return result

        return numbered

    def _numbered_poll(self) -> Iterator[Happening]:
        """Each happening has a number of its own: before it is asked for, and after it was given."""
        happenings = iter(self._kernel.poll())
        while True:
            self._count("poll")
            happening = next(happenings, None)
            if self._crashes.get(self.number) == AFTER:
                self._crash()
            if happening is None:
                return
            yield happening

    def _count(self, name: str) -> None:
        self.number += 1
        self.last = name
        if self._crashes.get(self.number) == BEFORE:
            self._crash()
