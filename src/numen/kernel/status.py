"""What /proc/PID/status and /proc/PID/limits say of a process (proc_pid_status(5), proc_pid_limits(5))."""

from __future__ import annotations

from ..record import Record
from . import proc

UNLIMITED = -1
"""What stands for `unlimited`, as RLIM_INFINITY does in Python."""


class Status(Record):
    """The fields of /proc/PID/status that numen uses; those that an old kernel lacks are `None`."""

    umask: int | None = None
    tracer: int = 0
    """The pid of who traces it; 0 for nobody."""
    uids: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Real, effective, saved and file system's."""
    gids: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: frozenset[int] = frozenset()
    """The supplementary groups."""
    pids: tuple[int, ...] = ()
    """Its pid in each pid namespace, from the reader's inwards."""
    memory: int | None = None
    """Bytes of address space."""
    resident: int | None = None
    """Bytes in memory."""
    locked: int | None = None
    """Bytes locked into memory."""
    threads: int = 1
    queued_signals: tuple[int, int] | None = None
    """Signals queued for its user, and how many may be."""
    pending: frozenset[int] = frozenset()
    """Signals that wait for the process or for its first thread."""
    blocked: frozenset[int] = frozenset()
    """Blocked in its first thread."""
    ignored: frozenset[int] = frozenset()
    caught: frozenset[int] = frozenset()
    permitted: int = 0
    """Capabilities as a bit mask, as the four that follow."""
    effective: int = 0
    inheritable: int = 0
    bounding: int = 0
    ambient: int = 0
    no_new_privileges: bool | None = None
    seccomp: int | None = None
    """0 for none, 1 for the strict mode, 2 for a filter."""


def parse_status(text: bytes) -> Status | None:
    """The record in the text of /proc/PID/status; `None` where it is not such a text."""
    fields: dict[str, str] = {}
    for line in text.decode("ascii", "replace").split("\n"):
        name, separator, value = line.partition(":")
        if separator:
            fields[name] = value.strip()
    try:
        return _status(fields)
    except (ValueError, KeyError, IndexError):
        return None


def _status(fields: dict[str, str]) -> Status:
    uids, gids = ([int(one) for one in fields[name].split()] for name in ("Uid", "Gid"))
    queued = fields.get("SigQ", "").split("/")
    return Status(
        umask=int(fields["Umask"], 8) if "Umask" in fields else None,
        tracer=int(fields.get("TracerPid", "0")),
        uids=(uids[0], uids[1], uids[2], uids[3]),
        gids=(gids[0], gids[1], gids[2], gids[3]),
        groups=frozenset(int(one) for one in fields.get("Groups", "").split()),
        pids=tuple(int(one) for one in fields.get("NSpid", "").split()),
        memory=_bytes(fields.get("VmSize")),
        resident=_bytes(fields.get("VmRSS")),
        locked=_bytes(fields.get("VmLck")),
        threads=int(fields.get("Threads", "1")),
        queued_signals=(int(queued[0]), int(queued[1])) if len(queued) == 2 else None,
        pending=signals_in(fields.get("SigPnd", "0")) | signals_in(fields.get("ShdPnd", "0")),
        blocked=signals_in(fields.get("SigBlk", "0")),
        ignored=signals_in(fields.get("SigIgn", "0")),
        caught=signals_in(fields.get("SigCgt", "0")),
        permitted=int(fields.get("CapPrm", "0"), 16),
        effective=int(fields.get("CapEff", "0"), 16),
        inheritable=int(fields.get("CapInh", "0"), 16),
        bounding=int(fields.get("CapBnd", "0"), 16),
        ambient=int(fields.get("CapAmb", "0"), 16),
        no_new_privileges=fields["NoNewPrivs"] == "1" if "NoNewPrivs" in fields else None,
        seccomp=int(fields["Seccomp"]) if "Seccomp" in fields else None,
    )


def signals_in(mask: str) -> frozenset[int]:
    """The signals in a mask, as /proc writes it in hexadecimal digits. Raises ValueError."""
    bits = int(mask, 16)
    found = []
    while bits > 0:
        lowest = bits & -bits
        found.append(lowest.bit_length())
        bits ^= lowest
    return frozenset(found)


def _bytes(size: str | None) -> int | None:
    """The bytes in a size such as `1234 kB`."""
    return int(size.split()[0]) * 1024 if size else None


def status(pid: int) -> Status | None:
    """What /proc/PID/status says; `None` where there is no such process, or none that may be seen."""
    text = proc.read(f"/proc/{pid}/status")
    return None if text is None else parse_status(text)


def parse_limits(text: bytes) -> dict[str, tuple[int, int]]:
    """Soft and hard limits by the kernel's words, such as `open files`; a line that is none is passed over."""
    found = {}
    for line in text.decode("ascii", "replace").split("\n"):
        # The words end at the 26th character, and may hold blanks.
        name, values = line[:25].strip(), line[25:].split()
        if name.startswith("Max ") and len(values) >= 2:
            try:
                soft, hard = (UNLIMITED if one == "unlimited" else int(one) for one in values[:2])
            except ValueError:
                continue
            found[name.removeprefix("Max ")] = (soft, hard)
    return found


def limits(pid: int) -> dict[str, tuple[int, int]] | None:
    """The resource limits of a process (getrlimit(2)); `None` where they cannot be seen."""
    text = proc.read(f"/proc/{pid}/limits")
    return None if text is None else parse_limits(text)
