"""Processes of a supervisor as /proc shows them: who they are, what they take, and when they have ended."""

from __future__ import annotations

import os
import select
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Load:
    """What processes took of the CPUs in some time."""

    cpu: float
    """Seconds on a CPU in a second."""
    wakeups: float
    """Voluntary context switches in a second."""


def descendants() -> set[int]:
    """Every living process that came from the bench: it is their subreaper, so none escapes."""
    children = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                state, parent = Path(f"/proc/{name}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                children[int(parent)].append((int(name), state))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        for pid, state in children[todo.pop()]:
            todo.append(pid)
            if state not in "ZX":
                found.add(pid)
    return found


def memory(pids: Iterable[int]) -> int:
    """Their memory together, in bytes: a page that several share is divided among them (PSS)."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def load(pids: Iterable[int], seconds: float) -> Load:
    """What they take within the next so many seconds."""
    before, began = _taken(pids), time.monotonic()
    time.sleep(seconds)
    after, lasted = _taken(pids), time.monotonic() - began
    return Load(*((new - old) / lasted for new, old in zip(after, before, strict=True)))


def _taken(pids: Iterable[int]) -> tuple[float, int]:
    cpu, wakeups = 0.0, 0
    for pid in pids:
        # ENOENT, or ESRCH while it is read: a thread that is gone.
        with suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                place = Path(f"/proc/{pid}/task/{task}")
                cpu += int((place / "schedstat").read_text().split()[0]) / 1e9
                status = (place / "status").read_text(errors="replace")
                wakeups += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return cpu, wakeups


class Watch:
    """Tells when the last of some processes has ended."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._poll = select.epoll()
        self._left: set[int] = set()
        for pid in pids:
            with suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                self._left.add(fd)
                self._poll.register(fd, select.EPOLLIN)

    def wait(self, patience: float) -> int:
        """When all had ended (nanoseconds on CLOCK_MONOTONIC). Raises TimeoutError."""
        deadline = time.monotonic() + patience
        while self._left:
            ended = self._poll.poll(max(0, deadline - time.monotonic()), max(1, len(self._left)))
            if not ended:
                raise TimeoutError(f"{len(self._left)} processes still live after {patience:g} s")
            for fd, _ in ended:
                self._poll.unregister(fd)
                os.close(fd)
                self._left.remove(fd)
        return time.monotonic_ns()

    def close(self) -> None:
        """Forget those that have not ended."""
        for fd in self._left:
            os.close(fd)
        self._poll.close()
