"""What /proc tells of processes (proc(5)).

Everything here answers for one instant, and a process may be gone at the next: a missing one is `None`,
never an error.
"""

from __future__ import annotations

import os

from ..record import Record

DEAD_STATES = "ZXx"
"""A zombie has ended, even while nobody has reaped it."""

CHUNK = 65536

_PF_FORKNOEXEC = 0x40
"""The flag of a process that was forked and has executed nothing since (include/linux/sched.h)."""

_PF_KTHREAD = 0x200000
"""The flag of a thread of the kernel's own."""


class Stat(Record):
    """The fields of /proc/PID/stat that numen uses."""

    pid: int
    comm: str
    state: str
    parent: int
    process_group: int
    session: int
    terminal: int = 0
    """The device number of the controlling terminal; 0 where there is none."""
    start_time: int
    """Clock ticks since boot; with the pid it tells a process from a later one of the same number."""
    threads: int = 1
    cpu_ticks: int = 0
    """The clock ticks that it has computed, in user and kernel mode."""
    has_executed: bool = True
    """Whether it has executed a program since it was forked; a zombie still tells."""
    is_kernel_thread: bool = False


def read(path: str) -> bytes | None:
    """The content of a file of /proc; `None` where it cannot be read."""
    # By the bare system calls: open() asks three times what kind of file it is, and these are read by the thousand.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = chunk = os.read(descriptor, CHUNK)
        while chunk:
            chunk = os.read(descriptor, CHUNK)
            content += chunk
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return content


def parse_stat(text: bytes) -> Stat | None:
    """The record in one line of /proc/PID/stat; `None` where it is not such a line."""
    # The name stands in parentheses and may itself hold spaces and parentheses.
    opening, closing = text.find(b"("), text.rfind(b")")
    fields = text[closing + 1 :].split()
    try:
        return Stat(
            pid=int(text[:opening]),
            comm=text[opening + 1 : closing].decode(errors="replace"),
            state=fields[0].decode("ascii"),
            parent=int(fields[1]),
            process_group=int(fields[2]),
            session=int(fields[3]),
            terminal=int(fields[4]),
            start_time=int(fields[19]),
            threads=int(fields[17]),
            cpu_ticks=int(fields[11]) + int(fields[12]),
            has_executed=not int(fields[6]) & _PF_FORKNOEXEC,
            is_kernel_thread=bool(int(fields[6]) & _PF_KTHREAD),
        )
    except (ValueError, IndexError):
        return None


def stat(pid: int) -> Stat | None:
    """What /proc/PID/stat says; `None` where there is no such process, or none that may be seen."""
    text = read(f"/proc/{pid}/stat")
    return None if text is None else parse_stat(text)


def processes() -> dict[int, Stat]:
    """Every process that can be seen now."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return {}
    return {pid: found for pid in pids if (found := stat(pid)) is not None}


def descendants(ancestor: int) -> dict[int, Stat]:
    """The living processes below `ancestor` at this instant, zombies not counted."""
    everybody = processes()
    family: dict[int, Stat] = {}
    generation = {ancestor}
    while generation:
        born = {pid: one for pid, one in everybody.items() if one.parent in generation and pid not in family}
        family.update(born)
        generation = set(born)
    family.pop(ancestor, None)
    return {pid: one for pid, one in family.items() if one.state not in DEAD_STATES}


def is_descendant(pid: int, ancestor: int) -> bool:
    """Whether `pid` is `ancestor` or stands below it."""
    for _ in range(CLIMBS):
        if (verdict := _climb(pid, ancestor)) is not None:
            return verdict
    return False


CLIMBS = 5
"""How often the way up is tried: where one on it ends, those below it get another parent."""


def _climb(pid: int, ancestor: int) -> bool | None:
    """Whether the way up from `pid` leads to `ancestor`; `None` where somebody on the way ended meanwhile."""
    found = stat(pid)
    if found is None:
        return False
    seen = set()
    while found.pid != ancestor:
        if found.pid in seen or found.parent == 0:
            return False
        seen.add(found.pid)
        above = stat(found.parent)
        if above is None:
            return None
        found = above
    return True


def boot_id() -> str:
    """The random identity of this boot; empty where it cannot be read (random(4))."""
    return (read("/proc/sys/kernel/random/boot_id") or b"").decode("ascii", "replace").strip()


def pid_namespace() -> int:
    """The inode of this process's pid namespace; 0 where it cannot be read (pid_namespaces(7))."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def status_field(name: str) -> str:
    """One field of /proc/self/status, such as `CapPrm`; empty where there is none."""
    prefix = name.encode() + b":"
    for line in (read("/proc/self/status") or b"").splitlines():
        if line.startswith(prefix):
            return line[len(prefix) :].decode("ascii", "replace").strip()
    return ""
