"""Whom an audit is of: a process by its pid, a name, a pidfile, a unit, a port; or every daemon of the machine."""

from __future__ import annotations

import os

from ..become import pidfile
from ..become.instance import Instance
from ..errors import NoPermission, NotRunning, Unusable, from_os_error
from ..kernel import proc
from ..kernel.opened import targets
from ..kernel.sockets import sockets
from ..record import Record
from .services import KEEPERS, unit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..kernel.proc import Stat
    from ..kernel.sockets import Socket

UNIT_KINDS = (".service", ".scope", ".slice", ".socket", ".mount")
"""The endings of the units that have processes (systemd.unit(5))."""

CONTROL_GROUPS = "/sys/fs/cgroup"
"""Where the control groups are mounted (cgroups(7))."""


class Target(Record):
    """A process to audit."""

    pid: int
    pidfile: str | None = None
    """The pidfile by which it was found."""


def by_word(word: str) -> Target:
    """The process of a pid, or the instance of a name. Raises NotRunning, BadOption."""
    if word.isascii() and word.isdigit():
        return by_pid(int(word))
    return by_name(word)


def by_pid(pid: int) -> Target:
    """The process of that number; of a thread's number, the process whose thread it is. Raises NotRunning."""
    found = proc.stat(pid)
    if found is not None and found.is_kernel_thread:
        raise NotRunning(
            f"cannot audit pid {pid} ({found.comm}): it is a thread of the kernel; there is nothing to audit"
        )
    return Target(pid=_process_of(pid))


def by_name(name: str) -> Target:
    """The instance of a name, or of a pidfile where there is a slash in it; else the daemon that is kept under it.

    Raises NotRunning, BadOption.
    """
    instance = Instance.find(name)
    pid = instance.pid
    if pid is None and (kept := _kept(name)):
        return Target(pid=_topmost(kept, ""))
    if pid is None:
        hint = "name a unit with --unit, a pidfile with --pidfile, any process by its pid"
        raise NotRunning(f"cannot audit {name}: no daemon of that name runs; {hint}")
    return Target(pid=pid, pidfile=instance.path)


def _kept(name: str) -> dict[int, Stat]:
    """The living processes of a daemon that the supervisor has started: the name stands in their environment."""
    mark = os.fsencode(f"NUMEN_NAME={name}")
    everybody = proc.processes()
    alive = {pid: one for pid, one in everybody.items() if one.state not in proc.DEAD_STATES}
    return {pid: one for pid, one in alive.items() if mark in (proc.read(f"/proc/{pid}/environ") or b"").split(b"\0")}


def by_pidfile(path: str) -> Target:
    """The process that a pidfile names. Raises NotRunning; Unusable, NoPermission where it cannot be read."""
    path = os.path.abspath(path)
    try:
        os.stat(path)
    except OSError as error:
        raise from_os_error(error, f"read the pidfile {path}") from error
    known = pidfile.read(path)
    found = proc.stat(known.pid) if known else None
    # A zombie is for the audit to tell of; another process that has the number by now is not meant.
    if known and found and not known.starting and (known.is_alive() or found.state in proc.DEAD_STATES):
        return Target(pid=by_pid(known.pid).pid, pidfile=path)
    said = f"pid {known.pid}, which is no running daemon" if known else "no process"
    raise NotRunning(f"cannot audit whom {path} names: it names {said}")


def by_unit(name: str, root: str = CONTROL_GROUPS) -> Target:
    """The main process of a unit: the oldest in its control group that was started from outside of it.

    `root` is where the control groups are. Raises Unusable where there is no such unit, NotRunning where it is empty.
    """
    unit = name if name.endswith(UNIT_KINDS) else f"{name}.service"
    directories = [place for place, _, _ in os.walk(root) if os.path.basename(place) == unit]
    if not directories:
        raise Unusable(f"cannot audit unit {unit}: there is no control group of that name below {root}")
    inside = {pid for directory in directories for place, _, _ in os.walk(directory) for pid in _members(place)}
    alive = {pid: one for pid in inside if (one := proc.stat(pid)) and one.state not in proc.DEAD_STATES}
    return Target(pid=_topmost(alive, f"cannot audit unit {unit}: no process is in it"))


def by_port(port: int) -> Target:
    """The process that listens on a port, tcp or udp: the topmost that holds the socket.

    Raises NotRunning where nobody listens there, NoPermission where it cannot be seen who does.
    """
    wanted = {f"socket:[{one.inode}]" for one in sockets().values() if _is_reached_at(one, port)}
    if not wanted:
        raise NotRunning(f"cannot audit port {port}: nothing listens there")
    everybody = proc.processes()
    holders = {pid: one for pid, one in everybody.items() if wanted.intersection(targets(pid).values())}
    if not holders:
        raise NoPermission(f"cannot audit port {port}: who listens there may not be seen; root may see it")
    # A service manager that has opened it for its unit holds it too.
    is_kept = holders.get(1) is not None and holders[1].comm in ("systemd", "init")
    served = {pid: one for pid, one in holders.items() if pid != 1 or not is_kept} or holders
    return Target(pid=_topmost(served, ""))


def _is_reached_at(socket: Socket, port: int) -> bool:
    return socket.is_of_network and socket.is_listening and socket.port == port


def daemons() -> list[int]:
    """Every daemon of the machine, one pid for each of them.

    A daemon is a process of a program, alive, without a controlling terminal. It is neither who audits nor above
    it, and it stands on top of its own family. On top is

    - a child of the first process, which adopts every orphan, and a process whose parent cannot be seen;
    - the first process of a unit, whose parent is in another one;
    - a child, in another session, of a program that keeps others, such as supervisord or a container's init;
    - one in another session than its parent, where the parent is no daemon itself, or where the session's leader is
      gone: it was forked twice, so that its parent is a process that collects orphans (PR_SET_CHILD_SUBREAPER).

    All others are left out. Who shares the session of its parent is a part of it: a worker, a script's command. A
    child that a daemon has put into a session of its own is its worker too, as those of postgres, or a job of a
    user's, as those of cron and sshd. A shell's jobs have its terminal.
    """
    everybody = proc.processes()
    own = {os.getpid(), *_above(os.getpid(), everybody)}
    may_be = {pid for pid, one in everybody.items() if pid not in own and _may_be_daemon(one)}
    return sorted(pid for pid in may_be if _is_on_top(everybody[pid], everybody, may_be))


def _may_be_daemon(one: Stat) -> bool:
    return not one.is_kernel_thread and one.state not in proc.DEAD_STATES and not one.terminal


def _is_on_top(one: Stat, everybody: Mapping[int, Stat], may_be: set[int]) -> bool:
    parent = everybody.get(one.parent)
    if parent is None or parent.pid == 1:
        return True
    if (unit := _unit(one.pid)) and unit != _unit(parent.pid):
        return True
    if one.session == parent.session:
        return False
    is_adopted = one.session != one.pid and one.session not in everybody
    return parent.comm in KEEPERS or parent.pid not in may_be or is_adopted


def _unit(pid: int) -> str:
    return unit_of(os.fsdecode(proc.read(f"/proc/{pid}/cgroup") or b""))


def _above(pid: int, everybody: Mapping[int, Stat]) -> Iterable[int]:
    seen: set[int] = set()
    one = everybody.get(pid)
    while one is not None and one.parent not in seen:
        seen.add(one.parent)
        one = everybody.get(one.parent)
    return seen


def _topmost(found: Mapping[int, Stat], complaint: str) -> int:
    """The oldest of those whose parent is none of them. Raises NotRunning with `complaint` where there is none."""
    tops = [one for one in found.values() if one.parent not in found]
    if not tops:
        raise NotRunning(complaint)
    return min(tops, key=lambda one: (one.start_time, one.pid)).pid


def _members(directory: str) -> list[int]:
    """The processes in a control group; 0 stands for one of another pid namespace."""
    text = proc.read(os.path.join(directory, "cgroup.procs")) or b""
    return [int(word) for word in text.split() if word.isdigit() and int(word)]


def _process_of(pid: int) -> int:
    """The process of a thread; the number itself where it is one, or none."""
    for line in (proc.read(f"/proc/{pid}/status") or b"").splitlines():
        if line.startswith(b"Tgid:"):
            return int(line.split()[1])
    return pid
