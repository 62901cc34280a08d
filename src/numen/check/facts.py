"""What is known of one process: read in one pass, then frozen.

A field that is `None` could not be seen; a rule that needs it says `unknown`, and guesses nothing. Nothing here is
read by a rule itself: the rules are functions of these values.
"""

from __future__ import annotations

from ..kernel.opened import Descriptor
from ..kernel.proc import Stat
from ..kernel.sockets import Socket
from ..kernel.status import Status
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class File(Record):
    """A file or directory as a path leads to it in the process's own root directory, and who could change it."""

    path: str
    is_deleted: bool = False
    mode: int = 0
    """Type and permissions."""
    uid: int = 0
    gid: int = 0
    changeable_in: str | None = None
    """A directory on the way in which others could exchange it; `None` where there is none."""


class FileSystem(Record):
    """The file system on which something stands."""

    point: str
    """Where it is mounted."""
    kind: str
    """Its type: ext4, nfs4, tmpfs."""
    size: int = 0
    """Bytes, 0 where it has no blocks of its own."""
    free: int = 0
    """Bytes that an ordinary user may still fill."""
    is_removable: bool = False
    """Whether it is on a disk that can be taken out."""


class Pipe(Record):
    """A pipe without a name, by who else holds its two ends."""

    readers: frozenset[int] = frozenset()
    """The processes that can read from it, this one not among them."""
    writers: frozenset[int] = frozenset()
    is_complete: bool = True
    """Whether every process of the machine could be asked."""


class Person(Record):
    """The user that a process runs as."""

    uid: int
    name: str = ""
    """Empty for one that the user database does not know."""
    groups: frozenset[int] = frozenset()
    """The groups that the databases give him, his own one among them."""


class Pidfile(Record):
    """A pidfile that is meant for the process."""

    path: str
    content: str
    """What stands in it, cut to a line."""
    mode: int
    uid: int
    is_trusted_place: bool = True
    """Whether nobody else can exchange it in its directory."""


class Service(Record):
    """Who keeps the process, or starts it with the machine."""

    kind: str
    """`systemd`, `systemd --user`, `numen`, `supervisor`, `init script`, `cron`, `container`; empty for nobody."""
    name: str = ""
    """The unit, the script, the table, the supervising program."""
    at_boot: bool | None = None
    """Whether it is set to start at boot; `None` where that cannot be told."""
    evidence: str = ""


class Facts(Record):
    """All that is known of one process."""

    # Who it is
    stat: Stat
    status: Status
    command: tuple[str, ...] = ()
    """Its arguments; empty for a kernel thread."""
    executable: File | None = None
    script: File | None = None
    """The script that an interpreter runs, where the command tells."""
    is_script_hidden: bool = False
    """Whether an interpreter runs a script of which cannot be told where it is."""
    started: float = 0.0
    """Wall time."""
    person: Person | None = None

    # Who is around it
    parent: Stat | None = None
    """`None` where it has none, as the first process of a pid namespace."""
    leader: Stat | None = None
    """The living leader of its session."""
    group: tuple[Stat, ...] = ()
    """The living others of its process group."""
    ancestors: frozenset[int] = frozenset()
    descendants: Mapping[int, Stat] = {}
    zombies: tuple[Stat, ...] = ()
    """Its dead children that nobody has waited for, at the beginning and at the end of the reading."""
    new_style: str = ""
    """Why it is a new-style daemon, which a service manager keeps (daemon(7)); empty for one that is not."""
    is_style_known: bool = True
    """Whether it could be seen what would make it a new-style daemon."""
    keeper: Service = Service(kind="")
    """Who keeps it now."""
    boot: Service = Service(kind="")
    """What starts it with the machine."""
    namespaces: tuple[str, ...] = ()
    """The kinds of namespace in which it is apart from who audits it: `pid`, `mnt`, `net`."""

    # What it has
    directory: File | None = None
    directory_mount: FileSystem | None = None
    root: str | None = None
    is_outside_root: bool = False
    """Whether its working directory lies outside its root directory."""
    exposed: tuple[str, ...] | None = ()
    """Files that it has open for writing or has made in its working directory, writable by group or others."""
    descriptors: Mapping[int, Descriptor] | None = {}
    pipes: Mapping[int, Pipe] = {}
    """Its pipes by inode."""
    sockets: Mapping[int, Socket] = {}
    """Its sockets by inode."""
    foreign_sockets: frozenset[int] = frozenset()
    """Those of them that are not of its own network namespace, but of that of who audits it."""
    hidden_sockets: int = 0
    """How many of its sockets are of a network namespace that cannot be looked into."""
    file_systems: Mapping[int, FileSystem] = {}
    """Where its open files stand, by device."""
    variables: frozenset[str] | None = frozenset()
    """The names of what is set in its environment to anything but nothing."""
    limits: Mapping[str, tuple[int, int]] | None = {}
    """Soft and hard by the kernel's words, -1 for unlimited."""
    oom_score: int | None = 0
    """From -1000, never killed, to 1000 (proc_pid_oom_score_adj(5))."""
    of_user: int = 0
    """How many processes and threads its user has."""
    demand: float | None = 0.0
    """The part of the time in which its busiest thread ran or waited for a processor; `None` where not measured."""
    blocked_everywhere: frozenset[int] = frozenset()
    """The signals that every thread of it blocks."""
    pidfiles: tuple[Pidfile, ...] = ()
    core_pattern: str = ""
    """Where core dumps go (core(5))."""

    @property
    def pid(self) -> int:
        """The pid, as who audits it sees it."""
        return self.stat.pid

    @property
    def uid(self) -> int:
        """The user as whom it acts."""
        return self.status.uids[1]

    @property
    def family(self) -> frozenset[int]:
        """The pid itself, and all below it."""
        return frozenset(self.descendants) | {self.pid}

    def listening(self) -> Iterable[Socket]:
        """The sockets on which others can reach it."""
        return [one for one in self.sockets.values() if one.is_listening]

    def ends_of(self, descriptor: Descriptor) -> Pipe | None:
        """Who else holds the pipe that a descriptor is an end of; `None` for what is no pipe."""
        return self.pipes.get(descriptor.inode) if descriptor.is_pipe else None
