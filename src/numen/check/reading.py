"""Reading one process: everything that the rules ask for, in one pass over /proc."""

from __future__ import annotations

import os
import stat

from ..kernel import mounts, opened, proc
from ..kernel import status as status_of
from ..kernel.files import untrusted_part
from .facts import Facts, File, Pidfile
from .machine import TICKS, blocked_in_all_threads, file_system, namespaces
from .pidfiles import look
from .services import is_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..kernel.opened import Descriptor
    from ..kernel.sockets import Socket
    from ..kernel.status import Status
    from .facts import FileSystem, Pipe, Service
    from .machine import Machine
    from .services import Services

MOST_ENTRIES = 2000
"""How many entries of a working directory are looked at for files that others may write."""

OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read(
    pid: int, machine: Machine, services: Services, pidfiles: Sequence[Pidfile] = (), demanded: float | None = None
) -> Facts | None:
    """All that is known of a process; `None` where there is none of that pid, or where it ended meanwhile.

    A zombie and a thread of the kernel's are none either: they have nothing that could be judged.

    `pidfiles` are those that are meant for it, `demanded` the part of the time in which it wanted a processor.
    """
    found, status = proc.stat(pid), status_of.status(pid)
    if found is None or status is None or found.state in proc.DEAD_STATES or found.is_kernel_thread:
        return None
    leader = machine.processes.get(found.session)
    parent = machine.processes.get(found.parent)
    variables = _variables(pid)
    groups = os.fsdecode(proc.read(f"/proc/{pid}/cgroup") or b"")
    own_pid = status.pids[-1] if status.pids else pid
    keeper = services.keeper(groups, parent, variables, own_pid)
    command = _command(pid)
    descriptors = opened.descriptors(pid)
    directory, root = _linked(pid, "cwd"), _link(f"/proc/{pid}/root")
    script, is_script_hidden = _script(pid, command, directory, status.uids[1])
    apart = _apart(pid, machine)
    executable = _program(pid, status.uids[1], is_apart="mnt" in apart)
    pidfiles = (*pidfiles, *_locked_pidfiles(pid, own_pid, descriptors or {}, {one.path for one in pidfiles}))
    known_sockets, foreign_sockets, hidden_sockets = _sockets(pid, descriptors or {}, machine, is_apart="net" in apart)
    facts = Facts(
        stat=found,
        status=status,
        command=command,
        executable=executable,
        script=script,
        is_script_hidden=is_script_hidden,
        started=machine.booted + found.start_time / TICKS,
        person=machine.person(status.uids[1]),
        parent=parent,
        leader=leader if leader and leader.state not in proc.DEAD_STATES else None,
        group=tuple(one for one in machine.groups.get(found.process_group, ()) if one.pid != pid),
        ancestors=machine.ancestors(pid),
        descendants=machine.descendants(pid),
        zombies=tuple(child for child in machine.children.get(pid, ()) if child.state == "Z"),
        new_style=_new_style(pid, own_pid, keeper, variables),
        is_style_known=bool(keeper.kind) or variables is not None,
        keeper=keeper,
        boot=services.boot(keeper, executable, script, tuple(one.path for one in pidfiles)),
        namespaces=apart,
        directory=directory,
        directory_mount=_mount_of_directory(pid, directory, root, machine),
        root=root,
        is_outside_root=_is_outside(root, directory),
        exposed=_exposed(pid, status, descriptors, machine.booted + found.start_time / TICKS),
        descriptors=descriptors,
        pipes=_pipes(pid, descriptors or {}, machine),
        sockets=known_sockets,
        foreign_sockets=foreign_sockets,
        hidden_sockets=hidden_sockets,
        file_systems=_file_systems(pid, descriptors or {}, machine),
        variables=variables,
        limits=status_of.limits(pid),
        oom_score=_number(f"/proc/{pid}/oom_score_adj"),
        of_user=machine.tasks_of_users.get(status.uids[0], 0),
        demand=demanded,
        blocked_everywhere=blocked_in_all_threads(pid, status.blocked),
        pidfiles=pidfiles,
        core_pattern=machine.core_pattern,
    )
    # Another process may have been given the number meanwhile, and a zombie has nothing of its own any more.
    last = proc.stat(pid)
    if last is None or last.start_time != found.start_time or last.state in proc.DEAD_STATES:
        return None
    # A child that had just died and has been waited for since was no zombie.
    still = tuple(one for one in facts.zombies if (now := proc.stat(one.pid)) and now.state == "Z")
    return facts.replace(zombies=still)


def _new_style(pid: int, own_pid: int, keeper: Service, variables: frozenset[str] | None) -> str:
    if keeper.kind:
        return keeper.evidence
    if variables is None:
        return ""
    if "SYSTEMD_EXEC_PID" in variables:
        text = proc.read(f"/proc/{pid}/environ") or b""
        if f"SYSTEMD_EXEC_PID={own_pid}".encode() in text.split(b"\0"):
            return "systemd started it (SYSTEMD_EXEC_PID)"
    return "it carries INVOCATION_ID" if "INVOCATION_ID" in variables else ""


def parse_variables(text: bytes) -> frozenset[str]:
    """The names of what is set to anything but nothing, in the text of /proc/PID/environ; no value is kept."""
    found = set()
    for assignment in text.split(b"\0"):
        name, separator, value = assignment.partition(b"=")
        if separator and name and value:
            found.add(os.fsdecode(name))
    return frozenset(found)


def _variables(pid: int) -> frozenset[str] | None:
    text = proc.read(f"/proc/{pid}/environ")
    return None if text is None else parse_variables(text)


def _command(pid: int) -> tuple[str, ...]:
    text = os.fsdecode(proc.read(f"/proc/{pid}/cmdline") or b"")
    return tuple(text.rstrip("\0").split("\0")) if text.strip("\0") else ()


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _number(path: str) -> int | None:
    try:
        return int(proc.read(path) or b"")
    except ValueError:
        return None


def _program(pid: int, uid: int, *, is_apart: bool) -> File | None:
    """The program that a process runs, and where others could exchange it."""
    program = _linked(pid, "exe")
    if program is None or program.is_deleted:
        return program
    # In a mount namespace of its own the name leads elsewhere than here; a changed root is already in the name.
    root = f"/proc/{pid}/root" if is_apart and _link(f"/proc/{pid}/root") == "/" else ""
    return program.replace(changeable_in=untrusted_part(program.path, uid=uid, root=root))


def _linked(pid: int, link: str) -> File | None:
    """What a link of /proc/PID leads to: the very file, whatever stands under its name by now."""
    target = _link(f"/proc/{pid}/{link}")
    if target is None:
        return None
    try:
        found = os.stat(f"/proc/{pid}/{link}")
    except OSError:
        return None
    is_deleted = opened.is_gone(pid, target, found)
    path = target.removesuffix(" (deleted)") if is_deleted else target
    return File(path=path, is_deleted=is_deleted, mode=found.st_mode, uid=found.st_uid, gid=found.st_gid)


_SHELL = ("abefhiklmnpruvxBCEHPT", "oO", "cs")
_OPTIONS = {
    "python": ("bBdEhiIOPqRsSuvVxt", "WX", "cm"),
    "perl": ("anpstTuUwWX", "", "eE"),
    "ruby": ("alnpsSvw", "", "e"),
    "node": ("", "", "ep"),
    "nodejs": ("", "", "ep"),
    "php": ("nq", "", "r"),
    "java": ("", "", "m"),
    **dict.fromkeys(("sh", "bash", "dash", "zsh", "ksh"), _SHELL),
}
"""The letters of each interpreter's options: those without a value, those with one, those that stand for a script."""


def script_of(command: tuple[str, ...]) -> str | None:
    """The script in the command line of an interpreter; `None` where it runs none, empty where it cannot be told."""
    if not command or not is_interpreter(command[0]):
        return None
    name = os.path.basename(command[0]).rstrip("0123456789.-")
    alone, valued, instead = _OPTIONS.get(name, ("", "", ""))
    arguments = iter(command[1:])
    for argument in arguments:
        if argument == "--":
            return next(arguments, None)
        if argument == "-":
            return None  # it reads its standard input
        if not argument.startswith("-"):
            return argument
        if argument.startswith("--") and "=" in argument:
            continue
        if name == "java" and (argument.startswith(("-D", "-X")) or argument == "-jar"):
            continue
        last = argument[1:].lstrip(alone)
        if last and last[0] in instead:
            return None
        if last and last[0] not in valued:
            return ""  # what follows may be its value
        if len(last) == 1:
            next(arguments, None)
    return None


def _script(pid: int, command: tuple[str, ...], directory: File | None, uid: int) -> tuple[File | None, bool]:
    """The script, and whether there is one of which cannot be told where it is."""
    name = script_of(command)
    if name is None:
        return None, False
    if not name or directory is None:
        return None, True
    path = os.path.normpath(os.path.join(directory.path, name))
    root = f"/proc/{pid}/root"
    try:
        found = os.stat(root + path)
    except OSError:
        return None, True  # it was given relative to where the daemon was before
    script = File(
        path=path,
        mode=found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        changeable_in=untrusted_part(path, uid=uid, root=root),
    )
    return script, False


def _is_outside(root: str | None, directory: File | None) -> bool:
    if root in (None, "/") or directory is None:
        return False
    return directory.path != root and not directory.path.startswith(f"{root}/")


def _mount_of_directory(pid: int, directory: File | None, root: str | None, machine: Machine) -> FileSystem | None:
    if directory is None or directory.is_deleted:
        return None
    # What a changed root directory hides is missing in the process's own table, and all else is named from there.
    mount = mounts.mount_over(directory.path, machine.mounts(pid if root in (None, "/") else os.getpid()))
    return None if mount is None else file_system(mount, f"/proc/{pid}/cwd")


def _apart(pid: int, machine: Machine) -> tuple[str, ...]:
    own = machine.namespaces
    return tuple(kind for kind, inode in namespaces(pid).items() if inode != own.get(kind, inode))


def _exposed(
    pid: int, status: Status, descriptors: Mapping[int, Descriptor] | None, started: float
) -> tuple[str, ...] | None:
    """Files of the process that others may write: asked for only where its umask would not prevent that."""
    if status.umask is None or status.umask & stat.S_IWOTH:
        return ()
    if descriptors is None:
        return None
    uid = status.uids[1]
    opened_ones = {
        one.path
        for one in descriptors.values()
        if one.is_file and one.is_open_for_writing and one.uid == uid and one.mode & OTHERS and not one.is_deleted
    }
    made = set()
    try:
        with os.scandir(f"/proc/{pid}/cwd/") as entries:
            for count, entry in enumerate(entries):
                if count >= MOST_ENTRIES:
                    break
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed meanwhile
                # A directory's time is that of its entries. Times of files are those of the last tick before.
                if (
                    stat.S_ISREG(found.st_mode)
                    and found.st_uid == uid
                    and found.st_mode & OTHERS
                    and found.st_mtime >= started - 0.02
                ):
                    made.add(entry.name)
    except OSError:
        pass
    return tuple(sorted(opened_ones | made))


def _locked_pidfiles(
    pid: int, own_pid: int, descriptors: Mapping[int, Descriptor], known: set[str]
) -> Iterator[Pidfile]:
    """The pidfiles that the process itself holds locked, wherever they stand."""
    for one in descriptors.values():
        # A database is locked too, and must not be read whole to see that it is no pidfile.
        is_short = one.is_file and one.size <= LONGEST_PID
        if one.locks and is_short and not one.is_deleted and one.path not in known:
            text = (proc.read(f"/proc/{pid}/fd/{one.number}") or b"").strip()
            if text == str(own_pid).encode():
                path = os.path.join(f"/proc/{pid}/root", one.path.lstrip("/"))
                seen = look(path)
                if seen is not None:
                    yield seen.replace(path=one.path)


LONGEST_PID = 20
"""Bytes of a file in which a pid may stand."""


def _pipes(pid: int, descriptors: Mapping[int, Descriptor], machine: Machine) -> dict[int, Pipe]:
    return {one.inode: machine.pipe(one.inode, without=pid) for one in descriptors.values() if one.is_pipe}


def _sockets(
    pid: int, descriptors: Mapping[int, Descriptor], machine: Machine, *, is_apart: bool
) -> tuple[dict[int, Socket], frozenset[int], int]:
    """The sockets that can be told, which of them are of our own network, and how many are of one that is hidden."""
    inodes = {one.inode for one in descriptors.values() if one.is_socket}
    everybody = machine.sockets(pid) if inodes else {}
    found = {inode: everybody[inode] for inode in inodes if inode in everybody}
    missing = inodes - found.keys()
    # In the same network it is one that is bound to nothing, or new: only who is apart brings some from elsewhere.
    if not missing or not is_apart:
        return found, frozenset(), 0
    here = machine.sockets(os.getpid())
    foreign = frozenset(missing & here.keys())
    found.update((inode, here[inode]) for inode in foreign)
    missing -= foreign
    for place in (f"/proc/{pid}/net", "/proc/self/net"):
        for family in ("netlink", "packet", "raw", "raw6"):
            missing -= parse_inodes(proc.read(f"{place}/{family}") or b"")
    return found, foreign, len(missing)


def parse_inodes(text: bytes) -> frozenset[int]:
    """The inodes in a table of /proc/net, as its first line names the columns; a line that is none is passed over."""
    head, *lines = text.lower().split(b"\n")
    # In the tables of raw sockets two names stand over one column, twice.
    titles = head.replace(b"tx_queue rx_queue", b"queues").replace(b"tr tm->when", b"timer").split()
    if b"inode" not in titles:
        return frozenset()
    column = titles.index(b"inode")
    rows = (line.split() for line in lines)
    return frozenset(int(row[column]) for row in rows if len(row) > column and row[column].isdigit())


def _file_systems(pid: int, descriptors: Mapping[int, Descriptor], machine: Machine) -> dict[int, FileSystem]:
    found = {}
    for one in descriptors.values():
        if one.is_file and one.is_open_for_writing and one.device not in found:
            on = machine.file_system(pid, f"/proc/{pid}/fd/{one.number}", one.device)
            if on is not None:
                found[one.device] = on
    return found
