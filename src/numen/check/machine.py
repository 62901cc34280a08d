"""What all processes of the machine share: read once for an audit of many, and only when it is asked for."""

from __future__ import annotations

import os
import time
from functools import cached_property

from ..kernel import mounts, proc, sockets
from ..kernel.status import parse_status, status
from .facts import FileSystem, Person, Pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.mounts import Mount
    from ..kernel.proc import Stat
    from ..kernel.sockets import Socket

TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks in a second, in which /proc counts."""

FIRST_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the one that the kernel makes at boot (PROC_PID_INIT_INO)."""


class Machine:
    """The processes, mounts, sockets and users at one moment."""

    def __init__(self) -> None:
        self.processes = proc.processes()
        self.children: dict[int, list[Stat]] = {}
        self.groups: dict[int, list[Stat]] = {}
        """The living processes of each process group."""
        for one in self.processes.values():
            self.children.setdefault(one.parent, []).append(one)
            if one.state not in proc.DEAD_STATES:
                self.groups.setdefault(one.process_group, []).append(one)
        self._sockets: dict[int, dict[int, Socket]] = {}
        self._mounts: dict[int, list[Mount]] = {}
        self._persons: dict[int, Person] = {}
        self._file_systems: dict[tuple[int, int], FileSystem] = {}

    def ancestors(self, pid: int) -> frozenset[int]:
        """The processes above one."""
        found: set[int] = set()
        one = self.processes.get(pid)
        while one is not None and one.parent not in found:
            found.add(one.parent)
            one = self.processes.get(one.parent)
        return frozenset(found)

    def descendants(self, pid: int) -> dict[int, Stat]:
        """The processes below one, zombies among them."""
        found: dict[int, Stat] = {}
        generation = [pid]
        while generation:
            born = [child for parent in generation for child in self.children.get(parent, ())]
            generation = [child.pid for child in born if child.pid not in found]
            found.update((child.pid, child) for child in born)
        return found

    @cached_property
    def booted(self) -> float:
        """Wall time of the boot."""
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    @cached_property
    def namespaces(self) -> dict[str, int]:
        """The namespaces of who audits, by kind."""
        return namespaces("self")

    @cached_property
    def core_pattern(self) -> str:
        """Where core dumps go (core(5))."""
        return os.fsdecode((proc.read("/proc/sys/kernel/core_pattern") or b"").rstrip(b"\n"))

    @cached_property
    def _pipe_holders(self) -> tuple[dict[int, list[tuple[int, int]]], bool]:
        """Who holds each pipe and with which rights of its descriptor; and whether everybody could be asked."""
        holders: dict[int, list[tuple[int, int]]] = {}
        # From within a container those outside cannot be seen.
        everybody_was_asked = self.namespaces.get("pid") == FIRST_PID_NAMESPACE
        for pid, one in self.processes.items():
            if one.is_kernel_thread or one.state in proc.DEAD_STATES:
                continue
            directory = f"/proc/{pid}/fd"
            try:
                names = os.listdir(directory)
            except OSError as error:
                everybody_was_asked &= isinstance(error, (FileNotFoundError, ProcessLookupError))
                continue
            for name in names:
                place = f"{directory}/{name}"
                try:
                    target = os.readlink(place)
                    if target.startswith("pipe:["):
                        holders.setdefault(int(target[6:-1]), []).append((pid, os.lstat(place).st_mode))
                except OSError:
                    continue  # closed meanwhile
        return holders, everybody_was_asked

    def pipe(self, inode: int, without: int) -> Pipe:
        """Who holds the two ends of a pipe, one process not among them."""
        holders, is_complete = self._pipe_holders
        others = [(pid, mode) for pid, mode in holders.get(inode, ()) if pid != without]
        return Pipe(
            readers=frozenset(pid for pid, mode in others if mode & 0o400),
            writers=frozenset(pid for pid, mode in others if mode & 0o200),
            is_complete=is_complete,
        )

    @cached_property
    def tasks_of_users(self) -> dict[int, int]:
        """How many processes and threads each user has, by the real uid, which the kernel counts by (getrlimit(2))."""
        counts: dict[int, int] = {}
        for pid, one in self.processes.items():
            # Not the owner of /proc/PID: of one that has changed its user that is root.
            found = status(pid)
            if found is not None:
                counts[found.uids[0]] = counts.get(found.uids[0], 0) + one.threads
        return counts

    def sockets(self, pid: int) -> dict[int, Socket]:
        """The sockets of the network namespace that a process is in, by inode."""
        namespace = _inode(f"/proc/{pid}/ns/net")
        if namespace not in self._sockets:
            self._sockets[namespace] = sockets.sockets(pid)
        return self._sockets[namespace]

    def mounts(self, pid: int) -> list[Mount]:
        """The mounts that a process sees."""
        namespace = _inode(f"/proc/{pid}/ns/mnt")
        if namespace not in self._mounts:
            self._mounts[namespace] = mounts.mounts(pid)
        return self._mounts[namespace]

    def person(self, uid: int) -> Person:
        """A user, as the databases of this machine know him."""
        if uid not in self._persons:
            import pwd

            try:
                entry = pwd.getpwuid(uid)
                groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
                self._persons[uid] = Person(uid=uid, name=entry.pw_name, groups=groups)
            except (KeyError, OSError):
                self._persons[uid] = Person(uid=uid)
        return self._persons[uid]

    def file_system(self, pid: int, place: str, device: int) -> FileSystem | None:
        """The file system with that device number, on which `place` stands as seen through /proc."""
        key = (_inode(f"/proc/{pid}/ns/mnt"), device)
        if key not in self._file_systems:
            number = f"{os.major(device)}:{os.minor(device)}"
            mount = next((one for one in self.mounts(pid) if one.device == number), None)
            if mount is None:  # as on btrfs, whose files have device numbers of their own
                mount = mounts.mount_over(os.path.realpath(place), self.mounts(pid))
            if mount is None:
                return None
            self._file_systems[key] = file_system(mount, place)
        return self._file_systems[key]


def file_system(mount: Mount, place: str) -> FileSystem:
    """What a mount is, and how much room there is at `place` on it."""
    from ..become.surroundings import NETWORK

    size = free = 0
    # One of another machine may not answer for ever.
    if mount.kind not in NETWORK:
        try:
            found = os.statvfs(place)
            size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        except OSError:
            pass
    removable = mounts.is_removable(mount.device)
    return FileSystem(point=mount.point, kind=mount.kind, size=size, free=free, is_removable=removable)


def namespaces(pid: int | str) -> dict[str, int]:
    """The namespaces that a process is in, by kind; without those that may not be seen."""
    found = {kind: _inode(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "mnt", "net", "user", "uts", "ipc")}
    return {kind: inode for kind, inode in found.items() if inode}


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def demand(pid: int) -> dict[int, int] | None:
    """The nanoseconds that each thread has run or waited for a processor (/proc/PID/task/TID/schedstat).

    `None` where the kernel does not count them, or does not show them.
    """
    found: dict[int, int] = {}
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return None
    for name in threads:
        text = proc.read(f"/proc/{pid}/task/{name}/schedstat")
        words = (text or b"").split()
        if len(words) >= 2 and words[0].isdigit() and words[1].isdigit():
            found[int(name)] = int(words[0]) + int(words[1])
    return found or None


def blocked_in_all_threads(pid: int, in_first: frozenset[int]) -> frozenset[int]:
    """The signals that no thread of a process would take, given those that its first thread blocks."""
    blocked = in_first
    try:
        threads = os.listdir(f"/proc/{pid}/task") if blocked else []
    except OSError:
        return blocked
    # The C library blocks everything for an instant while it makes a thread or a process, so one look is not enough.
    for name in threads * LOOKS:
        if not blocked:
            break
        found = parse_status(proc.read(f"/proc/{pid}/task/{name}/status") or b"")
        if found is not None:
            blocked &= found.blocked
    return blocked


LOOKS = 3
"""How often it is looked whether a thread still blocks a signal."""
