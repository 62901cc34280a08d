"""The facts of a proper daemon, of which no rule complains; the tables of the rules' tests change them one by one."""

import os
import signal
import stat as kinds

from numen.check.facts import Facts, File, FileSystem, Person, Pipe, Service
from numen.kernel.opened import Descriptor, Lock
from numen.kernel.proc import Stat
from numen.kernel.sockets import Socket
from numen.kernel.status import Status

PID = 500
UID = 110
DISK = os.makedev(8, 1)
"""The device of the file system on which its log stands."""

NULL = os.makedev(1, 3)
TERMINAL = os.makedev(136, 2)

_STAT = Stat(
    pid=PID, comm="exampled", state="S", parent=1, process_group=499, session=499, start_time=1000, cpu_ticks=20
)

_STATUS = Status(
    umask=0o022,
    uids=(UID, UID, UID, UID),
    gids=(UID, UID, UID, UID),
    groups=frozenset({UID}),
    pids=(PID,),
    memory=20 << 20,
    resident=4 << 20,
    locked=0,
    queued_signals=(0, 3800),
    ignored=frozenset({int(signal.SIGPIPE)}),
    caught=frozenset({int(signal.SIGTERM), int(signal.SIGHUP), int(signal.SIGCHLD)}),
    no_new_privileges=True,
    seccomp=2,
)

LIMITS = {
    "cpu time": (-1, -1),
    "file size": (-1, -1),
    "data size": (-1, -1),
    "stack size": (8 << 20, -1),
    "core file size": (0, -1),
    "resident set": (-1, -1),
    "processes": (3800, 3800),
    "open files": (1024, 4096),
    "locked memory": (8 << 20, 8 << 20),
    "address space": (-1, -1),
    "file locks": (-1, -1),
    "pending signals": (3800, 3800),
    "msgqueue size": (819200, 819200),
    "nice priority": (0, 0),
    "realtime priority": (0, 0),
    "realtime timeout": (-1, -1),
}


def stat(pid: int = PID, **changes: object) -> Stat:
    """What /proc/PID/stat says of the proper daemon, or of another process."""
    return _STAT.replace(pid=pid, **changes)


def status(**changes: object) -> Status:
    """What /proc/PID/status says of the proper daemon."""
    return _STATUS.replace(**changes)


def file(path: str, **changes: object) -> File:
    """A program of root's that nobody else can change."""
    return File(path=path, mode=kinds.S_IFREG | 0o755).replace(**changes)


def directory(path: str, **changes: object) -> File:
    """A directory of root's that nobody else can change."""
    return File(path=path, mode=kinds.S_IFDIR | 0o755).replace(**changes)


def file_system(**changes: object) -> FileSystem:
    """The disk, half full."""
    return FileSystem(point="/", kind="ext4", size=20 << 30, free=10 << 30).replace(**changes)


def descriptor(number: int, target: str, **changes: object) -> Descriptor:
    """An open descriptor; what it leads to tells its type, its flags must be given where it is more than read."""
    mode, special, inode, device, flags = kinds.S_IFREG | 0o640, 0, 1000 + number, DISK, os.O_RDONLY
    if target == "/dev/null":
        mode, special, flags = kinds.S_IFCHR | 0o666, NULL, os.O_RDWR
    elif target.startswith(("/dev/pts/", "/dev/tty")):
        mode, special, flags = kinds.S_IFCHR | 0o620, TERMINAL, os.O_RDWR
    elif target.startswith("pipe:["):
        mode, inode = kinds.S_IFIFO | 0o600, int(target[6:-1])
    elif target.startswith("socket:["):
        mode, inode, flags = kinds.S_IFSOCK | 0o777, int(target[8:-1]), os.O_RDWR
    elif target.startswith("anon_inode:"):
        mode, flags = 0o600, os.O_RDWR
    return Descriptor(
        number=number,
        target=target,
        flags=flags,
        mode=mode,
        special=special,
        inode=inode,
        device=device if kinds.S_ISREG(mode) else 0,
        uid=UID,
        links=0 if target.endswith(" (deleted)") else 1,
    ).replace(**changes)


def log(number: int, target: str = "/var/log/exampled.log", **changes: object) -> Descriptor:
    """A log file, open in append mode."""
    return descriptor(number, target, flags=os.O_WRONLY | os.O_APPEND, **changes)


def read_end(number: int, inode: int, **changes: object) -> Descriptor:
    """The end of a pipe from which one reads."""
    return descriptor(number, f"pipe:[{inode}]", flags=os.O_RDONLY, **changes)


def write_end(number: int, inode: int, **changes: object) -> Descriptor:
    """The end of a pipe to which one writes."""
    return descriptor(number, f"pipe:[{inode}]", flags=os.O_WRONLY, **changes)


def pipe(readers: tuple[int, ...] = (), writers: tuple[int, ...] = (), *, is_complete: bool = True) -> Pipe:
    """Who else holds a pipe."""
    return Pipe(readers=frozenset(readers), writers=frozenset(writers), is_complete=is_complete)


def lock(pid: int, kind: str = "FLOCK") -> Lock:
    """A lock that a process took."""
    return Lock(kind=kind, pid=pid)


def opened(*changed: Descriptor, without: tuple[int, ...] = ()) -> dict[int, Descriptor]:
    """The descriptors of the proper daemon with some more, or others in their place."""
    found = {one.number: one for one in (descriptor(0, "/dev/null"), log(1), log(2, inode=1001), *changed)}
    return {number: one for number, one in sorted(found.items()) if number not in without}


def socket(inode: int, family: str = "tcp", **changes: object) -> Socket:
    """A socket; a stream one that listens on this machine's own address, where nothing else is said."""
    address = {"tcp": "127.0.0.1", "udp": "127.0.0.1", "tcp6": "::1", "udp6": "::1"}.get(family, "")
    is_stream = not family.startswith("udp")
    found = Socket(inode=inode, family=family, address=address, is_listening=True, is_stream=is_stream)
    return found.replace(**changes)


PROPER = Facts(
    stat=_STAT,
    status=_STATUS,
    command=("/usr/sbin/exampled",),
    executable=file("/usr/sbin/exampled"),
    started=1_700_000_000.0,
    person=Person(uid=UID, name="example", groups=frozenset({UID})),
    parent=stat(1, comm="init", parent=0, process_group=1, session=1),
    ancestors=frozenset({1}),
    boot=Service(kind="init script", name="/etc/init.d/exampled", at_boot=True, evidence="/etc/init.d/exampled"),
    directory=directory("/"),
    directory_mount=file_system(),
    root="/",
    descriptors=opened(),
    file_systems={DISK: file_system()},
    variables=frozenset({"LANG", "PATH"}),
    limits=LIMITS,
    of_user=1,
    core_pattern="core",
)


def proper(**changes: object) -> Facts:
    """The facts of a proper daemon, some of them changed."""
    return PROPER.replace(**changes)
