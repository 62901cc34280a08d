"""Control groups of version 2 (cgroups(7)): where this process is, and what can be done with a directory of them.

Nothing here decides which process belongs where; `keep.cgroups` does.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from . import mounts, proc, signals
from .process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PROCESSES, CONTROLLERS, ENABLED = "cgroup.procs", "cgroup.controllers", "cgroup.subtree_control"

MOST_ROUNDS = 100
"""How often a group is looked at for processes that were forked meanwhile."""


def own() -> str | None:
    """The directory of this process's own group; `None` where no such hierarchy is mounted, or it is outside."""
    place = path_of("self")
    if place is None:
        return None
    for mount in reversed(mounts.mounts()):
        if mount.kind == "cgroup2" and (below := _below(place, mount.root)) is not None:
            directory = os.path.normpath(f"{mount.point}/{below}")
            return directory if os.path.isdir(directory) else None
    return None


def path_of(pid: int | str) -> str | None:
    """The name of a process's group, from the root of the hierarchy; `None` where it cannot be told."""
    for line in (proc.read(f"/proc/{pid}/cgroup") or b"").split(b"\n"):
        if line.startswith(b"0::"):
            return os.fsdecode(line.removeprefix(b"0::").removesuffix(b" (deleted)"))
    return None


def _below(path: str, root: str) -> str | None:
    if root == "/":
        return path
    return path[len(root) :] if path == root or path.startswith(root + "/") else None


def is_root(directory: str) -> bool:
    """Whether it is the root of the hierarchy, which alone may have both processes and controllers."""
    # The root has no type (cgroups(7)).
    return not os.path.exists(f"{directory}/cgroup.type")


def controllers(directory: str) -> frozenset[str]:
    """The controllers that can be given to its children."""
    return _words(directory, CONTROLLERS)


def enabled(directory: str) -> frozenset[str]:
    """The controllers that its children have."""
    return _words(directory, ENABLED)


def _words(directory: str, name: str) -> frozenset[str]:
    return frozenset((proc.read(f"{directory}/{name}") or b"").decode().split())


def enable(directory: str, names: Iterable[str]) -> None:
    """Let its children have these controllers. Raises OSError: EBUSY where processes are in it."""
    if missing := sorted(set(names) - enabled(directory)):
        write(directory, ENABLED, " ".join(f"+{name}" for name in missing))


def write(directory: str, name: str, value: str) -> None:
    """Write one of its files. Raises OSError."""
    # Never made anew: in a group, a file that is not there belongs to a controller that is not there.
    descriptor = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def join(directory: str, pid: int = 0) -> None:
    """Move a process there, by default this one. Raises OSError."""
    write(directory, PROCESSES, str(pid))


def make(directory: str) -> None:
    """Make it, unless it is there. Raises OSError."""
    with suppress(FileExistsError):
        os.mkdir(directory, 0o755)


def pids(directory: str) -> list[int]:
    """The processes in it and in the groups below it, without zombies."""
    found = []
    for place, _directories, _files in os.walk(directory):
        # A process that cannot be seen from this pid namespace stands there as 0.
        found += [int(word) for word in (proc.read(f"{place}/{PROCESSES}") or b"").split() if word != b"0"]
    return found


def kill_all(directory: str) -> None:
    """Kill whatever is in it, and what that forks meanwhile. Raises OSError."""
    try:
        write(directory, "cgroup.kill", "1")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        _kill_one_by_one(directory)  # before Linux 5.14


def _kill_one_by_one(directory: str) -> None:
    killed: set[tuple[int, int | None]] = set()
    for _ in range(MOST_ROUNDS):
        members = [Process(pid) for pid in pids(directory)]
        new = [one for one in members if (one.pid, one.start_time) not in killed]
        if not new:
            return
        # Looked at again: a pid that is still there is that of the process that was opened.
        still = set(pids(directory))
        for one in new:
            if one.pid in still:
                one.send_signal(signals.SIGKILL)
            killed.add((one.pid, one.start_time))


def remove(directory: str) -> bool:
    """Remove it and all below it; false where that cannot be, because processes are in it."""
    for place, _directories, _files in os.walk(directory, topdown=False):
        try:
            os.rmdir(place)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
