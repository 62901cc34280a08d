"""What a process and all below it use: time of the processors, and memory (proc_pid_stat(5)).

Everything here answers for one instant, as in `proc`; a family of one costs two reads.
"""

from __future__ import annotations

import os

from ..record import Record
from . import proc

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(Record):
    """What a family uses."""

    cpu: float
    """Seconds of processor time, with those of children that have ended."""
    memory: int
    """Bytes in memory; what several share is counted for each."""
    processes: int
    is_suspended: bool = False
    """Whether the process itself has been stopped by a signal, such as SIGSTOP."""


def usage(pid: int, start_time: int) -> Usage | None:
    """What the process uses with all below it; `None` where there is none that started then (clock ticks since boot).

    A descendant that has lost its parent is below another, and not counted.
    """
    main = _fields(pid)
    if main is None or int(main[19]) != start_time:
        return None
    cpu = memory = 0
    seen: dict[int, list[bytes]] = {pid: main}
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        fields = seen[one]
        cpu += sum(map(int, fields[11:15]))
        memory += int(fields[21])
        for child in _children(one, threads=int(fields[17])):
            if child not in seen and (found := _fields(child)) is not None:
                seen[child] = found
                waiting.append(child)
    return Usage(cpu=cpu / _TICKS, memory=memory * _PAGE, processes=len(seen), is_suspended=main[0] == b"T")


def _fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat behind the name."""
    text = proc.read(f"/proc/{pid}/stat")
    if text is None:
        return None
    fields = text[text.rfind(b")") + 1 :].split()
    return fields if len(fields) > 21 else None


def _children(pid: int, threads: int) -> list[int]:
    """The children of all threads; none where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    tasks = [str(pid)]
    if threads > 1:
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return []
    return [int(child) for task in tasks for child in (proc.read(f"/proc/{pid}/task/{task}/children") or b"").split()]


def age(start_time: int) -> float:
    """Seconds since a process started, from its start time in clock ticks since boot."""
    import time

    return time.clock_gettime(time.CLOCK_BOOTTIME) - start_time / _TICKS
