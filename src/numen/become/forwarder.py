"""A foreign program's output to syslog: a small process of its own, that reads a FIFO and sends each line.

Both sides open the FIFO to read and write: so the daemon's write never fails for want of a reader, and the
forwarder sees no end of file while nobody happens to write. There are two processes, a watcher and its child
that forwards; if either is killed the other starts it again, and what stands in the FIFO meanwhile is kept.
Only if both are killed at once can the daemon's writes come to block, after 64 KiB. What was read and not yet sent
when the child is killed is lost.
"""

from __future__ import annotations

import os
import select
import time

from ..errors import NoPermission, Unusable, from_os_error
from ..kernel.process import Process
from ..record import Record
from . import descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .identity import Account
    from .syslog.system_log import SystemLog

LINE_LIMIT = 8192
"""Bytes after which a line that does not end is sent as it is."""

LOOK_INTERVAL = 1.0
"""Seconds between two looks at watcher and daemon where the kernel has no pidfd."""

PATIENCE = 30.0
"""Seconds that a full log is given when the daemon has ended; what it has not taken then goes to the fallback."""


class Source(Record):
    """One FIFO, open at both ends."""

    reader: int
    writer: int
    """The daemon's: a description of its own, so that no flag of the reader's is its."""
    echo_reader: int
    echo_writer: int
    """What is forwarded is echoed here while the launcher waits, to be shown if the daemon dies."""
    priority: str


class Setting(Record):
    """Who the forwarder is, and how it signs."""

    ident: str
    facility: str
    account: Account | None
    fallback: str | None
    """The file that takes the lines while there is no system log."""


def open_source(priority: str, account: Account | None) -> Source:
    """Make a FIFO that only the daemon's user can open again, by way of /proc/self/fd. Raises Unusable."""
    directory = f"/tmp/numen-{os.urandom(8).hex()}"  # noqa: S108 - mkdir refuses what is there already
    path = os.path.join(directory, "fifo")
    try:
        os.mkdir(directory, 0o700)
        try:
            os.mkfifo(path, 0o600)
            if account is not None and os.geteuid() == 0:
                os.chown(path, account.uid, account.gid)
            reader, writer = (os.open(path, os.O_RDWR | os.O_CLOEXEC) for _ in range(2))
            os.unlink(path)
        finally:
            os.rmdir(directory)
        echo_reader, echo_writer = os.pipe()
    except OSError as error:
        raise from_os_error(error, "make a FIFO for syslog") from error
    os.set_blocking(echo_writer, False)
    return Source(reader=reader, writer=writer, echo_reader=echo_reader, echo_writer=echo_writer, priority=priority)


def start(sources: tuple[Source, ...], setting: Setting, daemon_pid: int) -> int:
    """Start the forwarder as a process of its own; its pid. Called in the guard, after the daemon's birth."""
    pid = os.fork()
    if pid:
        for source in sources:
            os.close(source.reader)
            os.close(source.writer)
            os.close(source.echo_writer)
        return pid
    try:
        _run(sources, _detach(sources, setting, daemon_pid), Process(daemon_pid))
    finally:
        os._exit(1)


def _detach(sources: tuple[Source, ...], setting: Setting, daemon_pid: int) -> SystemLog:
    """Become a daemon too, in the daemon's user; the log that is opened while its directory can be written."""
    from . import identity, signals
    from .syslog.system_log import SystemLog

    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    signals.reset(for_exec=False)
    null = os.open("/dev/null", os.O_RDWR)
    for number in descriptors.STANDARD_STREAMS:
        descriptors.put(null, number)
    descriptors.close_all(keep=[number for one in sources for number in (one.reader, one.echo_writer)])
    try:
        log = SystemLog(setting.ident, setting.facility, fallback=setting.fallback, pid=daemon_pid)
    except (Unusable, NoPermission):
        log = SystemLog(setting.ident, setting.facility, pid=daemon_pid)
    if setting.account is not None:
        identity.become(setting.account)
    return log


def _run(sources: tuple[Source, ...], log: SystemLog, daemon: Process) -> NoReturn:
    """Watch and forward, each in a process; whichever is left alone makes the pair whole again."""
    while daemon.is_alive():
        watcher = Process(os.getpid())
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            _forward(sources, log, daemon, watcher)
            if watcher.is_alive():
                log.close(patience=0)
                os._exit(0)
            # The watcher was killed: this process watches now.
    _forward_what_is_left(sources, log)
    log.close(PATIENCE)
    os._exit(0)


def _forward(sources: tuple[Source, ...], log: SystemLog, daemon: Process, watcher: Process) -> None:
    """Forward until the daemon or the watcher has ended."""
    lines = {one.reader: _Lines(one, log) for one in sources}
    poll = select.poll()
    for descriptor in lines:
        poll.register(descriptor, select.POLLIN)
    pidfds = [process.open_pidfd() for process in (watcher, daemon)]
    for pidfd in pidfds:
        if pidfd is not None:
            poll.register(pidfd, select.POLLIN)
    patience = LOOK_INTERVAL * 1000 if None in pidfds else None
    while True:
        woken = [descriptor for descriptor, _event in poll.poll(patience)]
        for descriptor in woken:
            if descriptor in lines:
                lines[descriptor].read()
        only_output = woken and all(descriptor in lines for descriptor in woken)
        if not only_output and not (watcher.is_alive() and daemon.is_alive()):
            for one in lines.values():
                one.send_rest()
            if daemon.is_alive():
                log.flush()
            else:
                _outwait(log, lines)
            return


def _outwait(log: SystemLog, lines: dict[int, _Lines]) -> None:
    """Give a full log its time, and meanwhile read on: the daemon's children must not come to block."""
    deadline = time.monotonic() + PATIENCE
    while not log.flush(patience=0) and log.fileno() >= 0 and (left := deadline - time.monotonic()) > 0:
        poll = select.poll()
        poll.register(log.fileno(), select.POLLOUT)
        for descriptor in lines:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _event in poll.poll(left * 1000):
            if descriptor in lines:
                lines[descriptor].read()
    for one in lines.values():
        one.send_rest()


def _forward_what_is_left(sources: tuple[Source, ...], log: SystemLog) -> None:
    """Forward until the last of the daemon's children has closed its end."""
    lines = {one.reader: _Lines(one, log) for one in sources}
    poll = select.poll()
    for descriptor in lines:
        # Without the writing half the end of the file comes.
        only_reader = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.dup2(only_reader, descriptor, inheritable=False)
        os.close(only_reader)
        poll.register(descriptor, select.POLLIN)
    while lines:
        for descriptor, _event in poll.poll():
            if not lines[descriptor].read():
                poll.unregister(descriptor)
                del lines[descriptor]


class _Lines:
    """The bytes of one FIFO, cut into lines and sent."""

    def __init__(self, source: Source, log: SystemLog) -> None:
        self._source = source
        self._log = log
        self._held = b""

    def read(self) -> bool:
        """Read once and send what is whole; false at the end of the file."""
        try:
            data = os.read(self._source.reader, 65536)
        except BlockingIOError:
            return True
        self._echo(data)
        *whole, self._held = (self._held + data).split(b"\n")
        for line in whole:
            self._send(line)
        if not data or len(self._held) > LINE_LIMIT:
            self.send_rest()
        return bool(data)

    def send_rest(self) -> None:
        """Send what there is of a line that has not ended."""
        rest, self._held = self._held, b""
        self._send(rest)

    def _send(self, line: bytes) -> None:
        if line.strip():
            self._log.send(self._source.priority, line.decode(errors="replace"))

    def _echo(self, data: bytes) -> None:
        try:
            os.write(self._source.echo_writer, data)
        except OSError:
            return  # the launcher has gone, or has enough
