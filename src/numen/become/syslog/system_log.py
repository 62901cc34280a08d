"""Step 7: errors go to the system log.

`SystemLog` decides where an entry goes: to journald or to the syslog daemon, whichever is there, to a file
while neither is. It never waits for the log and never fails because of it. How an entry looks is in
`journal` and `messages`, the sockets are in `sockets`, the file is in `files`. The standard
library's `logging` is connected in `handler`, uncaught exceptions in `uncaught`.
"""

from __future__ import annotations

import errno
import os
import time

from ...errors import BadOption
from . import entries, journal, messages, sockets
from .backlog import Backlog
from .entries import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, Self, TypedDict
    from weakref import WeakSet

    from .files import LogFile
    from .sockets import Kind, LogSocket

    class Options(TypedDict, total=False):
        """What a SystemLog takes beside ident and facility."""

        target: Literal["auto", "journal", "syslog"]
        format: Literal["3164", "5424"]
        fallback: str | os.PathLike[str] | None
        linger: float
        journal_path: str
        syslog_path: str


TARGETS: dict[str, tuple[Kind, ...]] = {
    "auto": ("journal", "syslog"),
    "journal": ("journal",),
    "syslog": ("syslog",),
}

LINGER = 1.0
"""Seconds that a log which is full is given at the end, so that a last traceback arrives whole."""

LONGEST_SOCKET_PATH = 107


class SystemLog:
    """An open connection to the system log, which heals by itself.

    `send` never waits: what a full log does not take is kept and goes before the next message. What there is
    no room to keep is lost, and the next message that is taken begins with the number of those. Raises
    BadOption for a value that makes no sense, Unusable or NoPermission for a fallback file that cannot be
    opened; that no log is there is not an error. `pid` is for one who speaks for another process.
    """

    _lost: int
    _backlog: Backlog
    _pieces: list[bytes] | None
    """What is left to send of the first entry that waits; None where nothing of it is sent yet."""

    def __init__(
        self,
        ident: str,
        facility: str = "daemon",
        *,
        target: Literal["auto", "journal", "syslog"] = "auto",
        format: Literal["3164", "5424"] = "3164",  # noqa: A002 - the word of those who read about syslog
        fallback: str | os.PathLike[str] | None = None,
        linger: float = LINGER,
        pid: int | None = None,
        journal_path: str = journal.NATIVE_SOCKET,
        syslog_path: str = sockets.SYSLOG_SOCKET,
    ) -> None:
        entries.check_ident(ident)
        entries.check_among("target", target, TARGETS)
        entries.check_among("format", format, messages.FORMATS)
        self.ident = ident
        self.facility = facility
        self.linger = linger
        self._pid = pid
        self._facility_number = entries.facility_number(facility)
        paths: dict[Kind, str] = {"journal": _checked(journal_path), "syslog": _checked(syslog_path)}
        self._places = [(kind, paths[kind]) for kind in TARGETS[target]]
        self._format = messages.FORMATS[format]
        self._file = _open_file(fallback)
        self._socket: LogSocket | None = None
        self._begin_anew()
        _follow_forks(self)
        self._connect()

    @property
    def using(self) -> str:
        """Where messages went last: `journal`, `syslog`, `file` or `nothing`."""
        if self._socket is not None:
            return self._socket.kind
        return "file" if self._file is not None else "nothing"

    def fileno(self) -> int:
        """The descriptor of the connection, or -1 where there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def descriptors(self) -> tuple[int, ...]:
        """Every descriptor that is held, for one who closes all others."""
        held = (self.fileno(), -1 if self._file is None else self._file.fileno())
        return tuple(descriptor for descriptor in held if descriptor >= 0)

    def send(self, priority: str | int, message: str, /, **fields: str | int | bytes) -> None:
        """Log the message with that priority. Fields are for the journal; syslog has no place for them."""
        number = entries.priority_number(priority)
        now, pid = time.time(), self._pid or os.getpid()
        with self._lock:
            self._advance()
            lost, self._lost = self._lost, 0
            entry = Entry(
                ident=self.ident,
                facility=self._facility_number,
                priority=number,
                text=_telling(lost, message),
                extra=fields,
                time=now,
                pid=pid,
                lost=lost,
            )
            if self._backlog.has_room(entry):
                self._backlog.append(entry)
                self._advance()
            else:
                self._divert(entry)

    def flush(self, patience: float | None = None) -> bool:
        """Wait until a full log has taken all; False where it has not within `patience` seconds, or is gone.

        Without a number the patience is the log's `linger`.
        """
        deadline = time.monotonic() + (self.linger if patience is None else patience)
        while True:
            with self._lock:
                self._advance()
                if self._backlog.first is None:
                    return True
                left = deadline - time.monotonic()
                # A log that is gone is not waited for: it may never come.
                if self._socket is None or self._is_advancing or left <= 0:
                    return False
                full = self._socket
            full.wait_until_writable(left)

    def close(self, patience: float | None = None) -> None:
        """Flush and let go of every descriptor. A later `send` opens the log again, as with syslog(3).

        What a full log has not taken by then goes to the file. Where there is neither log nor file it is written to
        stderr: it is the last chance that somebody sees it.
        """
        self.flush(patience)
        with self._lock:
            self._write_rest_to_file()
            self._show_on_stderr()
            self._lost += self._backlog.clear()
            self._disconnect()
            if self._file is not None:
                self._file.close()

    def _write_rest_to_file(self) -> None:
        while self._file is not None and (entry := self._backlog.first) is not None and self._file.write(entry):
            self._backlog.drop(entry)

    def _show_on_stderr(self) -> None:
        if self._socket is not None or self._file is not None:
            return
        while (entry := self._backlog.first) is not None:
            self._backlog.drop(entry)
            try:
                os.write(2, f"{entry.ident}[{entry.pid}]: {entry.text}\n".encode(errors="backslashreplace"))
            except OSError:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _begin_anew(self) -> None:
        """Have nothing to send, nothing to tell, and a lock that nobody holds."""
        import threading

        # A signal handler may log while the same thread is inside `send`, hence the reentrant kind.
        self._lock = threading.RLock()
        self._is_advancing = False
        self._lost = 0
        self._backlog = Backlog()
        self._pieces = None

    def _advance(self) -> None:
        """Hand over what waits, oldest first, as far as it is taken at once."""
        if self._is_advancing:
            return  # a signal handler: the frame that it interrupted does the work
        # Asked again after the flag is down, for an entry that such a handler has left in between.
        while self._backlog.first is not None:
            self._is_advancing = True
            try:
                while (entry := self._backlog.first) is not None:
                    if not self._hand_over(entry):
                        return
                    self._backlog.drop(entry)
            finally:
                self._is_advancing = False

    def _hand_over(self, entry: Entry) -> bool:
        """Give the entry to the log, or to the file while no log is there; False where it must wait."""
        for _attempt in range(2):  # that the log daemon was restarted shows only when the old socket is used
            connection = self._connect()
            if connection is None:
                break
            try:
                return self._push(entry, connection)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    self._pieces = None
                    self._divert(entry)
                    return True
                self._disconnect()
        return self._file is not None and self._file.write(entry)

    def _push(self, entry: Entry, connection: LogSocket) -> bool:
        """Send what is left of the entry; False where the log is full."""
        if self._pieces is None:
            self._pieces = self._encode(entry, connection)
        pieces = self._pieces
        while pieces:
            taken = connection.transmit(pieces[0])
            if not taken:
                return False
            rest = pieces[0][taken:]
            pieces[:1] = [rest] if rest else []
        self._pieces = None
        return True

    def _encode(self, entry: Entry, connection: LogSocket) -> list[bytes]:
        if connection.kind == "journal":
            return journal.encode(entry)
        # A stream needs an end for each message; the C library's is NUL.
        end = b"\0" if connection.is_stream else b""
        return [datagram + end for datagram in self._format(entry)]

    def _divert(self, entry: Entry) -> None:
        """Write what the log cannot take to the file, or count it as lost."""
        if self._file is None or not self._file.write(entry):
            self._lost += entry.lost + 1

    def _connect(self) -> LogSocket | None:
        """The connection, made anew where it is lost; None where no log is there."""
        if self._socket is not None and self._socket.is_ours():
            return self._socket
        self._disconnect()
        for kind, path in self._places:
            self._socket = sockets.connect(kind, path)
            if self._socket is not None:
                break
        return self._socket

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        # The log may have died with the first lines of an entry unread: it gets the whole entry again.
        self._pieces = None

    def _follow_fork(self) -> None:
        """Be a log of the child's own: what waits is the parent's to send."""
        self._begin_anew()
        if self._socket is not None and self._socket.is_stream:
            # The daemon knows a stream by the process that connected it, and two would mix their messages.
            self._disconnect()


def _checked(path: str) -> str:
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise BadOption(f"cannot use the socket {path}: the path is over {LONGEST_SOCKET_PATH} bytes", path=path)
    return path


def _open_file(path: str | os.PathLike[str] | None) -> LogFile | None:
    if path is None:
        return None
    from .files import LogFile

    return LogFile(path)


def _telling(lost: int, message: str) -> str:
    if not lost:
        return message
    return f"[{lost} {'message was' if lost == 1 else 'messages were'} lost before this one] {message}"


_logs: WeakSet[SystemLog] | None = None


def _follow_forks(log: SystemLog) -> None:
    """Have every forked child begin with a log of its own."""
    global _logs
    if _logs is None:
        import weakref

        _logs = weakref.WeakSet()
        os.register_at_fork(after_in_child=_follow_fork)
    _logs.add(log)


def _follow_fork() -> None:
    for log in list(_logs or ()):
        log._follow_fork()
