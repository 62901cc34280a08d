"""Step 7: where the process's messages go, and whether anybody can read them later."""

from __future__ import annotations

import os
import stat

from ..verdict import fault, not_applicable, ok, rule, unknown, warning
from .descriptors import UNSEEN, is_temporary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.opened import Descriptor
    from ..facts import Facts
    from ..verdict import Judgement

SYSTEM_LOGS = {
    "/dev/log": "the system log",
    "/run/systemd/journal/dev-log": "the journal",
    "/run/systemd/journal/socket": "the journal",
    "/run/systemd/journal/stdout": "the journal",
}
"""The sockets behind which messages are kept, by what they are."""

VOLATILE = ("tmpfs", "ramfs")
"""The types of file systems that are empty after a boot."""

FULL = 0.01
"""The part of a file system's size under which it counts as full."""

PLENTY = 1 << 30
"""The bytes that are no full file system, whatever its size."""


@rule(
    step="7",
    title="errors arrive somewhere",
    why="What a program, its libraries and its interpreter say when they fail goes to descriptor 2; where that leads"
    " nowhere, the reason of a crash is lost.",
    remedy="Lead descriptor 2 to a log: `numen detach --stderr FILE`, `2>>FILE` in a shell, StandardError= in a unit;"
    " or open the system log at the start (openlog(3) with LOG_NDELAY).",
)
def errors_arrive(facts: Facts) -> Judgement:
    """Descriptor 2 leads to a log, or another one does."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    stream = facts.descriptors.get(2)
    if stream is None or stream.is_null:
        return _without_stream(stream, facts)
    if stream.is_terminal:
        return not_applicable("descriptor 2 is a terminal, which `no-terminal-open` judges")
    if stream.mode == 0 or stream.target.startswith(("anon_inode:", "/memfd:")):
        return unknown(f"who reads what is written to {stream.target} cannot be told")
    if stream.is_deleted:
        return not_applicable("descriptor 2 is a deleted file, which `log-in-place` judges")
    if not stream.is_open_for_writing:
        return fault(f"descriptor 2 ({stream.target}) is not open for writing")
    if stream.is_pipe:
        return _to_pipe(stream, facts)
    if stream.is_socket:
        where = _behind_socket(stream, facts)
        return ok(f"they go to {where}") if where else unknown("they go to a socket, and who is behind it is not told")
    # Who has a FIFO open for reading too is never without a reader.
    if stat.S_ISFIFO(stream.mode) and not stream.is_open_for_reading:
        return unknown(f"they go to the FIFO {stream.target}; who reads from it is not told")
    kind = "the FIFO " if stat.S_ISFIFO(stream.mode) else ""
    return ok(f"they go to {kind}{stream.target}")


def _without_stream(stream: Descriptor | None, facts: Facts) -> Judgement:
    """Descriptor 2 is closed or /dev/null: whether another one is a log."""
    said = "descriptor 2 is closed" if stream is None else "descriptor 2 is /dev/null"
    descriptors = (facts.descriptors or {}).values()
    # Descriptor 1 comes last: what the program itself has opened as its log tells more.
    for one in sorted(descriptors, key=lambda one: one.number == 1):
        if is_log(one) and (one.number == 1 or "log" in one.path.lower()):
            return ok(f"{said}, and it logs to {one.path}")
        if one.is_socket and (log := _system_log(one, facts)):
            return ok(f"{said}, and it logs to {log}")
    if added := [one.path for one in descriptors if is_log(one)]:
        return unknown(f"{said}; whether {added[0]}, which is only added to, is a log is not told")
    found = [facts.sockets.get(one.inode) for one in descriptors if one.is_socket]
    # What syslog(3) has opened looks so, where the kernel does not tell to whom it is connected.
    if any(one and one.family == "unix" and not (one.is_stream or one.address or one.peer) for one in found):
        return unknown(f"{said}; it has a datagram socket, and who is at its other end cannot be told")
    if stream is None:
        return fault(f"{said}, and it has no log open")
    return warning(f"{said}, and it has no log open: what it says is lost, unless it opens the system log when it must")


def _to_pipe(stream: Descriptor, facts: Facts) -> Judgement:
    """Whether somebody reads what is written to the pipe."""
    pipe = facts.ends_of(stream)
    same = [one for one in (facts.descriptors or {}).values() if one.is_pipe and one.inode == stream.inode]
    if any(one.is_open_for_reading for one in same):
        return ok("it reads them itself, from a pipe")
    if pipe is not None and pipe.readers:
        return ok(f"they go to a pipe, from which pid {min(pipe.readers)} reads")
    if pipe is None or not pipe.is_complete or facts.keeper.kind == "container":
        return unknown("they go to a pipe; who reads from it may not be seen")
    return fault("they go to a pipe from which nobody reads: to write there brings SIGPIPE or EPIPE")


def _behind_socket(descriptor: Descriptor, facts: Facts) -> str:
    """Where a socket leads, in words; empty where nothing is known of it."""
    one = facts.sockets.get(descriptor.inode)
    if one is None:
        return ""
    if one.family == "unix" and not one.peer:
        return ""
    return _system_log(descriptor, facts) or f"a {one.family} socket{f' ({one.peer})' if one.peer else ''}"


def _system_log(descriptor: Descriptor, facts: Facts) -> str:
    """The name of the log to which a socket is connected; empty for another socket."""
    one = facts.sockets.get(descriptor.inode)
    if one is None or one.family != "unix":
        return ""
    # In a chroot the system log has a socket of its own, such as /var/spool/postfix/dev/log.
    name = SYSTEM_LOGS.get(one.peer, "the system log" if one.peer.endswith("/dev/log") else "")
    return f"{name} ({one.peer})" if name else ""


def is_log(file: Descriptor) -> bool:
    """Whether an open file looks like a log: descriptor 1 or 2, only added to, or named so."""
    if not file.is_file or not file.is_open_for_writing or file.target.startswith("/memfd:"):
        return False
    return file.number in (1, 2) or bool(file.flags & os.O_APPEND) or file.path.endswith(".log")


def _logs(facts: Facts) -> list[Descriptor]:
    """One descriptor for each log that is open."""
    logs = {(one.device, one.inode): one for one in (facts.descriptors or {}).values() if is_log(one)}
    return list(logs.values())


@rule(
    step="7",
    title="room for the log",
    why="On a full file system the messages that matter most are lost, and some programs stop; on a volatile one they"
    " are gone after the next boot, when somebody asks why it was necessary.",
    remedy="Make room and rotate the log; keep it under /var/log, or send it to the system log.",
)
def log_room(facts: Facts) -> Judgement:
    """No log is on a full or a volatile file system."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    logs = _logs(facts)
    if not logs:
        return not_applicable("it has no log file open")
    found = [(one, facts.file_systems.get(one.device)) for one in logs]
    for one, on in found:
        if on is not None and on.size and on.free < min(FULL * on.size, PLENTY):
            return fault(f"{one.path} is on {on.point} ({on.kind}), where {on.free} of {on.size} bytes are free")
    for one, on in found:
        if on is not None and on.kind in VOLATILE:
            return warning(f"{one.path} is on {on.point} ({on.kind}), which a boot empties")
    for one, on in found:
        if on is None:
            return unknown(f"on which file system {one.path} stands cannot be told")
    return ok(", ".join(f"{one.path} on {on.point} ({on.kind})" for one, on in found if on is not None))


@rule(
    step="7",
    title="the log is in its place",
    why="What is written to a deleted log nobody can read, and it fills the disk until the process ends: so it goes"
    " where a log is rotated and the daemon is not told.",
    remedy="Have it open its log anew (mostly by SIGHUP, in logrotate's postrotate), or start it again. Until then"
    " `tail -f /proc/PID/fd/N` shows what it writes.",
)
def log_in_place(facts: Facts) -> Judgement:
    """No log has been deleted while it is open."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    logs = _logs(facts)
    if not logs:
        return not_applicable("it has no log file open")
    for one in logs:
        if one.is_deleted and (one.number in (1, 2) or one.path.endswith(".log") or not is_temporary(one)):
            return fault(f"{one.path}, open as descriptor {one.number}, is deleted; {one.size} bytes stand in it")
    return ok(", ".join(one.path for one in logs))
