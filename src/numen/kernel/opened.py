"""The open descriptors of a process (/proc/PID/fd and /proc/PID/fdinfo, proc_pid_fd(5), proc_pid_fdinfo(5))."""

from __future__ import annotations

import os
import stat

from ..record import Record
from . import proc
from .status import signals_in

_TERMINAL_MAJORS = (4, 5, *range(136, 144), 204, 188, 166, 229)
"""The device numbers of consoles, terminals and pseudo-terminals (devices.txt of the kernel)."""

_PTMX = (5, 2)
"""The device of which every opening is a new pseudo-terminal's master: a program that holds it owns a terminal,
and is not owned by one."""


class Lock(Record):
    """A lock that is held through a descriptor's open file description."""

    kind: str
    """FLOCK, POSIX, OFDLCK or LEASE."""
    pid: int
    """Who took it, 0 where that cannot be told from this pid namespace, -1 where the kernel does not say."""


class Fdinfo(Record):
    """What /proc/PID/fdinfo/N says."""

    flags: int = 0
    """The O_* flags of open(2), O_CLOEXEC among them."""
    position: int = 0
    signals: frozenset[int] = frozenset()
    """Those that a signalfd takes."""
    locks: tuple[Lock, ...] = ()


class Descriptor(Record):
    """One open descriptor."""

    number: int
    target: str
    """What it leads to, as readlink(2) says: a path, `pipe:[123]`, `socket:[123]`, `anon_inode:[eventfd]`."""
    flags: int = 0
    position: int = 0
    signals: frozenset[int] = frozenset()
    locks: tuple[Lock, ...] = ()
    mode: int = 0
    """Type and permissions of the file, as stat(2) gives them; 0 where it could not be asked."""
    device: int = 0
    """The device of its file system."""
    inode: int = 0
    special: int = 0
    """The device that a device file stands for."""
    size: int = 0
    uid: int = -1
    links: int = 1
    is_gone: bool = False
    """Whether nothing stands under its name any more, or another file; it may have other names."""

    @property
    def is_open_for_writing(self) -> bool:
        """Whether it can be written to."""
        return self.flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR) and not self.flags & os.O_PATH

    @property
    def is_open_for_reading(self) -> bool:
        """Whether it can be read from."""
        return self.flags & os.O_ACCMODE in (os.O_RDONLY, os.O_RDWR) and not self.flags & os.O_PATH

    @property
    def is_inheritable(self) -> bool:
        """Whether a program that is executed gets it."""
        return not self.flags & os.O_CLOEXEC

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_pipe(self) -> bool:
        """Whether it is a pipe without a name."""
        return self.target.startswith("pipe:[")

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket."""
        return self.target.startswith("socket:[")

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal."""
        number = (os.major(self.special), os.minor(self.special))
        return stat.S_ISCHR(self.mode) and number[0] in _TERMINAL_MAJORS and number != _PTMX

    @property
    def is_null(self) -> bool:
        """Whether it is /dev/null."""
        return stat.S_ISCHR(self.mode) and self.special == os.makedev(1, 3)

    @property
    def is_deleted(self) -> bool:
        """Whether the name by which it was opened leads to the file no more."""
        return self.is_file and (self.links == 0 or self.is_gone)

    @property
    def path(self) -> str:
        """The path, without the words by which the kernel marks a deleted one."""
        return self.target.removesuffix(" (deleted)") if self.links == 0 or self.is_gone else self.target


def parse_fdinfo(text: bytes) -> Fdinfo:
    """The record in the text of /proc/PID/fdinfo/N; what is not understood is passed over."""
    flags = position = 0
    signals: frozenset[int] = frozenset()
    locks = []
    for line in text.decode("ascii", "replace").split("\n"):
        name, _, value = line.partition(":")
        try:
            if name == "flags":
                flags = int(value, 8)
            elif name == "pos":
                position = int(value)
            elif name == "sigmask":
                signals = signals_in(value)
            elif name == "lock":
                # `1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF`
                words = value.split()
                locks.append(Lock(kind=words[1], pid=int(words[4])))
        except (ValueError, IndexError):
            continue
    return Fdinfo(flags=flags, position=position, signals=signals, locks=tuple(locks))


def descriptors(pid: int) -> dict[int, Descriptor] | None:
    """Every open descriptor of a process by its number; `None` where they may not be seen."""
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:
        return None
    found = {}
    for name in names:
        one = _descriptor(pid, name)
        if one is not None:
            found[one.number] = one
    return found


def targets(pid: int) -> dict[int, str]:
    """What every descriptor of a process leads to, by its number; empty where that may not be seen."""
    directory = f"/proc/{pid}/fd"
    found = {}
    try:
        for name in os.listdir(directory):
            found[int(name)] = os.readlink(f"{directory}/{name}")
    except OSError:
        pass  # one was closed meanwhile, or nothing may be seen
    return found


def is_gone(pid: int, target: str, seen: os.stat_result) -> bool:
    """Whether a file that a link of /proc/PID leads to has lost the name that the link tells, if not all its names."""
    if seen.st_nlink == 0:
        return True
    if not (target.startswith("/") and target.endswith(" (deleted)")):
        return False
    # A living one may have a name that ends in the kernel's words; a changed root is already in the name.
    for place in (f"/proc/{pid}/root{target}", target):
        try:
            if os.path.samestat(os.lstat(place), seen):
                return False
        except OSError:
            continue
    return True


def _descriptor(pid: int, name: str) -> Descriptor | None:
    place = f"/proc/{pid}/fd/{name}"
    try:
        target = os.readlink(place)
    except OSError:
        return None  # closed meanwhile
    info = parse_fdinfo(proc.read(f"/proc/{pid}/fdinfo/{name}") or b"")
    try:
        seen = os.stat(place)
    except OSError:
        seen = None
    return Descriptor(
        number=int(name),
        target=target,
        flags=info.flags,
        position=info.position,
        signals=info.signals,
        locks=info.locks,
        mode=seen.st_mode if seen else 0,
        device=seen.st_dev if seen else 0,
        inode=seen.st_ino if seen else 0,
        special=seen.st_rdev if seen else 0,
        size=seen.st_size if seen else 0,
        uid=seen.st_uid if seen else -1,
        links=seen.st_nlink if seen else 1,
        is_gone=seen is not None and is_gone(pid, target, seen),
    )
