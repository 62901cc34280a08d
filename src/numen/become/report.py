"""What the daemon, the guard and the launcher tell each other while the start is undecided.

Three pipes, all CLOEXEC and above the standard descriptors:

- *report*, daemon to launcher: born, executing, ready, failed. Only the daemon holds its writing end, so
  the end of the file means that the exec succeeded, or that the daemon has died.
- *endings*, guard to launcher: how the daemon ended; and who forwards to syslog.
- *orders*, launcher to guard: end the family, or leave somebody who lingers for the notifications of a daemon that is
  up; the end of the file (the launcher is gone) lets the guard go.

A message is a letter, the length of what follows, and fields that are separated by NUL.
"""

from __future__ import annotations

import fcntl
import os
import select

from ..errors import DaemonError, error_class, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BORN, EXECUTING, READY, FAILED, ENDED, FORWARDER, END_FAMILY, LINGER = "BXRFEWKL"

READ_SIZE = 65536

MESSAGE_LIMIT = 60_000
"""Bytes of one field; a pipe takes no more at once from a writer whose reader may be gone."""


class Pipes:
    """The three pipes, all ends of which are open until one of the keep_… functions is called."""

    def __init__(self) -> None:
        self.report_reader, self.report_writer = _pipe()
        self.endings_reader, self.endings_writer = _pipe()
        self.orders_reader, self.orders_writer = _pipe()

    def keep_launcher_ends(self) -> None:
        """Keep what the launcher reads and writes; close the rest."""
        self._close_all_but(self.report_reader, self.endings_reader, self.orders_writer)

    def keep_guard_ends(self) -> None:
        """Keep what the guard reads and writes; close the rest."""
        self._close_all_but(self.endings_writer, self.orders_reader)

    def keep_daemon_ends(self) -> None:
        """Keep what the daemon writes; close the rest."""
        self._close_all_but(self.report_writer)

    def reporter(self) -> Reporter:
        """The daemon's writing end."""
        return Reporter(self.report_writer)

    def close(self) -> None:
        """Close every end that is still open."""
        self._close_all_but()

    def _close_all_but(self, *kept: int) -> None:
        for name, descriptor in vars(self).items():
            if descriptor >= 0 and descriptor not in kept:
                os.close(descriptor)
                setattr(self, name, -1)


def _pipe() -> tuple[int, int]:
    return above_standard_streams(os.pipe())


def above_standard_streams(ends: tuple[int, int]) -> tuple[int, int]:
    """The same pipe on descriptors that steps onto 0, 1 and 2 cannot overwrite."""
    if min(ends) > 2:
        return ends
    reader, writer = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    for end in ends:
        os.close(end)
    return reader, writer


def send(descriptor: int, letter: str, *fields: str) -> None:
    """Write one message. A reader that is gone is no error: then nobody wants to know."""
    encoded = [field.replace("\0", " ").encode(errors="surrogatepass")[:MESSAGE_LIMIT] for field in fields]
    body = b"\0".join(encoded)
    data = letter.encode() + len(body).to_bytes(4, "big") + body
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except (BrokenPipeError, BlockingIOError):
        pass


class Reporter:
    """The daemon's side of the report pipe."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def born(self, pid: int) -> None:
        """Tell the daemon's pid."""
        send(self.descriptor, BORN, str(pid))

    def executing(self) -> None:
        """Tell that the very next thing is the exec."""
        send(self.descriptor, EXECUTING)

    def ready(self, status: str = "") -> None:
        """Tell that the daemon is up."""
        send(self.descriptor, READY, status)

    def failed(self, error: BaseException, traceback: str = "") -> None:
        """Tell why there will be no daemon."""
        if isinstance(error, OSError):
            error = from_os_error(error, "start")
        name = type(error).__name__
        status = error.exit_status if isinstance(error, DaemonError) else 1
        send(self.descriptor, FAILED, name, str(status), str(error), traceback)

    def move_away_from(self, number: int) -> None:
        """Make room on a number that this end of the pipe happens to have."""
        if self.descriptor == number:
            self.descriptor = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, number + 1)
            os.close(number)

    def program_failed(self, message: str, exit_status: int, traceback: str) -> None:
        """Tell what ended the daemon's own program, and what it would have printed."""
        send(self.descriptor, FAILED, "StartFailed", str(exit_status), message, traceback)

    def close(self) -> None:
        """Say no more."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class StartFailed(DaemonError):
    """The daemon's own program failed before it was ready: `traceback` is what it would have printed."""

    traceback: str


def rebuild_failure(fields: list[str]) -> DaemonError:
    """The error that failed() reported, of the same class where it is one of ours."""
    name, status, message, traceback = fields
    kind = error_class(name)
    if kind.__name__ == name:
        return kind(message)
    error = StartFailed(message, traceback=traceback)
    error.exit_status = int(status)
    return error


class Inbox:
    """The reading end of a pipe: bytes come in, whole messages come out."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.at_end = False
        self._held = b""

    def has_more(self) -> bool:
        """Whether there is something to be read at once, other than the end."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return not self.at_end and any(event & select.POLLIN for _, event in poll.poll(0))

    def read(self) -> Iterator[tuple[str, list[str]]]:
        """Read once, and give each message that is now whole: its letter and its fields."""
        data = os.read(self.descriptor, READ_SIZE)
        self.at_end = not data
        self._held += data
        while len(self._held) >= 5 and len(self._held) >= (end := 5 + int.from_bytes(self._held[1:5], "big")):
            letter, body = self._held[:1].decode(), self._held[5:end]
            self._held = self._held[end:]
            yield letter, body.decode(errors="surrogatepass").split("\0")
