"""What /proc says of a process, read without any help from numen.

The tests judge daemons by this reading, so it shares no code with what it judges. The first half is the
reading of one process, the second tells who is whose child. Nothing here starts, signals or reaps anything
that a test could mistake for its own.
"""

import os
import select
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ACCESS_MODES = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}


@dataclass(frozen=True)
class Descriptor:
    """One open descriptor of a process."""

    target: str
    """What it leads to, as readlink(2) says: a path, `pipe:[123]`, `socket:[123]`, `/dev/null`."""
    flags: int
    """The O_* flags of open(2), O_CLOEXEC among them."""
    mode: str
    """`r`, `w` or `rw`; `path` for O_PATH."""
    cloexec: bool
    append: bool
    position: int


@dataclass(frozen=True)
class Capabilities:
    """The five capability sets of a process, as numbers of capabilities(7)."""

    inheritable: frozenset[int]
    permitted: frozenset[int]
    effective: frozenset[int]
    bounding: frozenset[int]
    ambient: frozenset[int]


@dataclass(frozen=True)
class Signals:
    """What a process does with signals, as sets of their numbers."""

    blocked: frozenset[int]
    ignored: frozenset[int]
    caught: frozenset[int]
    pending: frozenset[int]
    """For the process or for its first thread."""


@dataclass(frozen=True)
class Process:
    """All that /proc/PID tells, at one moment; a zombie has no descriptors, environment, cwd, root or exe."""

    pid: int
    ppid: int
    pgid: int
    sid: int
    tty_nr: int
    """The controlling terminal's device number; 0 where there is none."""
    state: str
    """The letter of proc(5): `R`, `S`, `D`, `T`, `Z`, …"""
    start_time: int
    """Clock ticks after boot."""
    comm: str
    cmdline: tuple[str, ...]
    exe: str | None
    cwd: str | None
    root: str | None
    umask: int | None
    uids: tuple[int, int, int, int]
    """Real, effective, saved and file system's."""
    gids: tuple[int, int, int, int]
    groups: frozenset[int]
    capabilities: Capabilities
    no_new_privs: bool
    nice: int
    oom_score_adj: int
    limits: dict[str, tuple[int, int]]
    """Soft and hard by the kernel's words (`open files`, `core file size`); RLIM_INFINITY is -1."""
    signals: Signals
    environ: dict[str, str]
    descriptors: dict[int, Descriptor]
    threads: int


def look(pid: int) -> Process:
    """Read all of /proc/PID; ProcessLookupError if there is no such process, or if it ends meanwhile."""
    directory = Path("/proc", str(pid))
    try:
        stat = _Stat.read(pid)
        status = _status(directory)
        alive = stat.state not in "ZX"
        process = Process(
            pid=pid,
            ppid=stat.ppid,
            pgid=stat.pgid,
            sid=stat.sid,
            tty_nr=stat.tty_nr,
            state=stat.state,
            start_time=stat.start_time,
            comm=stat.comm,
            cmdline=_strings(directory / "cmdline"),
            exe=os.readlink(directory / "exe") if alive else None,
            cwd=os.readlink(directory / "cwd") if alive else None,
            root=os.readlink(directory / "root") if alive else None,
            umask=int(status["Umask"], 8) if "Umask" in status else None,
            uids=_four(status["Uid"]),
            gids=_four(status["Gid"]),
            groups=frozenset(map(int, status["Groups"].split())),
            capabilities=Capabilities(
                inheritable=_bits(status["CapInh"]),
                permitted=_bits(status["CapPrm"]),
                effective=_bits(status["CapEff"]),
                bounding=_bits(status["CapBnd"]),
                ambient=_bits(status["CapAmb"]),
            ),
            no_new_privs=status["NoNewPrivs"] == "1",
            nice=stat.nice,
            oom_score_adj=int((directory / "oom_score_adj").read_text()),
            limits=_limits(directory),
            signals=Signals(
                blocked=_signals(status["SigBlk"]),
                ignored=_signals(status["SigIgn"]),
                caught=_signals(status["SigCgt"]),
                pending=_signals(status["SigPnd"]) | _signals(status["ShdPnd"]),
            ),
            environ=_environ(directory) if alive else {},
            descriptors=_descriptors(directory) if alive else {},
            threads=int(status["Threads"]),
        )
        unchanged = _Stat.read(pid).start_time == stat.start_time
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} is gone") from error
    except PermissionError as error:
        # A zombie's descriptors are closed to ordinary users, and this one may just have become one.
        if is_zombie_or_gone(pid):
            raise ProcessLookupError(f"process {pid} is gone") from error
        raise
    if not unchanged:
        raise ProcessLookupError(f"process {pid} is gone; another has its pid now")
    return process


def is_zombie_or_gone(pid: int) -> bool:
    """Whether the process has ended; its parent may reap it whenever it likes."""
    try:
        return _Stat.read(pid).state in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def start_time(pid: int) -> int:
    """When the process started, in clock ticks after boot: with the pid, this names it for good."""
    try:
        return _Stat.read(pid).start_time
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} is gone") from error


def wait_until_gone(pid: int, deadline_seconds: float = 30) -> None:
    """Wait until the process has ended, reaped or not; AssertionError when it is alive at the deadline."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(deadline_seconds * 1000), f"still alive after {deadline_seconds:g} seconds: {describe(pid)}"
    finally:
        os.close(pidfd)


def describe(pid: int) -> str:
    """One line that lets a person recognize the process."""
    try:
        stat = _Stat.read(pid)
        command = " ".join(_strings(Path("/proc", str(pid), "cmdline"))) or f"[{stat.comm}]"
    except (FileNotFoundError, ProcessLookupError):
        return f"pid {pid} (gone)"
    shown = command.replace("\n", "\\n")
    return f"pid {pid} (parent {stat.ppid}, session {stat.sid}, state {stat.state}): {shown}"


def children(pid: int) -> frozenset[int]:
    """The processes whose parent it is, zombies among them."""
    return frozenset(child for child, stat in _all_stats().items() if stat.ppid == pid)


def descendants(pid: int, *, without: frozenset[tuple[int, int]] = frozenset()) -> dict[int, int]:
    """The processes below it, each with its start time.

    Those in `without` (pid and start time) are left out, and so is all that is below them.
    """
    stats = _all_stats()
    below: dict[int, list[int]] = {}
    for child, stat in stats.items():
        below.setdefault(stat.ppid, []).append(child)
    found: dict[int, int] = {}
    unseen = [pid]
    while unseen:
        for child in below.get(unseen.pop(), ()):
            if child not in found and (child, stats[child].start_time) not in without:
                found[child] = stats[child].start_time
                unseen.append(child)
    return found


def with_environment(text: str) -> dict[int, int]:
    """The processes with that text in their environment, each with its start time, as far as one may read."""
    sought = text.encode()
    found = {}
    for pid in _pids():
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as environ:
            if sought in environ.read():
                found[pid] = _Stat.read(pid).start_time
    return found


def nearest_reaper() -> int:
    """The pid to which the kernel gives the orphans of this process's family, found by making one.

    It is 1 on a plain system, but the test process itself while the suite runs, since that is a child
    subreaper: a daemon under test has this parent, once its launcher has ended.
    """
    # The shell ends at once and leaves cat behind, which ends when its standard input does.
    launcher = ["sh", "-c", "exec 3<&0; cat <&3 >/dev/null 2>&1 & echo $!"]
    with subprocess.Popen(launcher, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        orphan = int(shell.stdout.read())
        shell.wait()
        reaper = _Stat.read(orphan).ppid
        assert shell.stdin is not None
        shell.stdin.close()
    wait_until_gone(orphan)
    if reaper == os.getpid():
        os.waitpid(orphan, 0)
    return reaper


def mount_points() -> tuple[str, ...]:
    """Where file systems are mounted in this process's mount namespace, in the order in which they were."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return tuple(os.fsdecode(_unescaped(line.split()[4])) for line in lines)


@dataclass(frozen=True)
class _Stat:
    """The fields of /proc/PID/stat that status does not have."""

    comm: str
    state: str
    ppid: int
    pgid: int
    sid: int
    tty_nr: int
    nice: int
    start_time: int

    @staticmethod
    def read(pid: int) -> "_Stat":
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
        # The command's name may hold blanks and parentheses itself, so the last one closes it.
        opened, closed = text.index(b"("), text.rindex(b")")
        fields = text[closed + 2 :].split()
        return _Stat(
            comm=os.fsdecode(text[opened + 1 : closed]),
            state=fields[0].decode(),
            ppid=int(fields[1]),
            pgid=int(fields[2]),
            sid=int(fields[3]),
            tty_nr=int(fields[4]),
            nice=int(fields[16]),
            start_time=int(fields[19]),
        )


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _all_stats() -> dict[int, _Stat]:
    """Every process there is; read again while a parent is missing, which ended during the reading."""
    for _ in range(5):
        stats = {}
        for pid in _pids():
            try:
                stats[pid] = _Stat.read(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
        if all(stat.ppid in stats or stat.ppid == 0 for stat in stats.values()):
            break
    return stats


def _status(directory: Path) -> dict[str, str]:
    lines = (directory / "status").read_text(errors="surrogateescape").split("\n")
    pairs = (line.split(":\t", 1) for line in lines if ":\t" in line)
    return {name: value.strip() for name, value in pairs}


def _four(text: str) -> tuple[int, int, int, int]:
    real, effective, saved, file_system = map(int, text.split())
    return real, effective, saved, file_system


OF_THE_C_LIBRARY = frozenset({32, 33})
"""Signals that the C library keeps for itself. A caller who used posix_spawn leaves them ignored, and no program can
mend that: sigaction(3) refuses them. They are left out of every set."""


def _signals(mask: str) -> frozenset[int]:
    return _bits(mask, first=1) - OF_THE_C_LIBRARY


def _bits(hexadecimal: str, first: int = 0) -> frozenset[int]:
    mask = int(hexadecimal, 16)
    return frozenset(bit + first for bit in range(mask.bit_length()) if mask >> bit & 1)


def _strings(path: Path) -> tuple[str, ...]:
    text = path.read_bytes()
    return tuple(os.fsdecode(part) for part in text.removesuffix(b"\0").split(b"\0")) if text else ()


def _environ(directory: Path) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in _strings(directory / "environ") if "=" in entry)
    return {name: value for name, _, value in pairs}


def _limits(directory: Path) -> dict[str, tuple[int, int]]:
    heading, *rows = (directory / "limits").read_text().splitlines()
    soft, hard = heading.index("Soft Limit"), heading.index("Hard Limit")

    def value(word: str) -> int:
        return -1 if word == "unlimited" else int(word)

    return {
        row[:soft].strip().removeprefix("Max "): (
            value(row[soft:hard].strip()),
            value(row[hard:].split()[0]),
        )
        for row in rows
    }


def _descriptors(directory: Path) -> dict[int, Descriptor]:
    found = {}
    for name in os.listdir(directory / "fd"):
        try:
            target = os.readlink(directory / "fd" / name)
            facts = dict(
                line.split(":", 1) for line in (directory / "fdinfo" / name).read_text().splitlines() if ":" in line
            )
        except FileNotFoundError:
            continue  # closed meanwhile
        flags = int(facts["flags"], 8)
        found[int(name)] = Descriptor(
            target=target,
            flags=flags,
            mode="path" if flags & os.O_PATH else ACCESS_MODES[flags & os.O_ACCMODE],
            cloexec=bool(flags & os.O_CLOEXEC),
            append=bool(flags & os.O_APPEND),
            position=int(facts["pos"]),
        )
    return found


def _unescaped(path: bytes) -> bytes:
    for code, character in (rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\134", b"\\"):
        path = path.replace(code, character)
    return path
