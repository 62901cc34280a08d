"""The last lines that a daemon wrote before it died, read where they went."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Tail(Protocol):
        """How the last lines of one stream can be read again."""

        def last_lines(self, pid: int) -> tuple[str, ...]:
            """The last lines that process `pid` wrote, oldest first; nothing where they cannot be read."""
            ...


LINES = 10
BYTES = 4096
"""As much as fits on a screen: who wants more reads the log."""

PIPE_SIZE = 65536

PIPE_SILENCE = 0.2
"""Seconds after which nothing more is expected from the forwarder."""

PIPE_PATIENCE = 0.5
"""Seconds for which one that goes on is listened to."""

JOURNAL_PATIENCE = 5.0
"""Seconds that journalctl may take."""


def cut(text: bytes) -> tuple[str, ...]:
    """The last lines of a text, fit for a terminal."""
    lines = text[-BYTES:].decode(errors="replace").splitlines()[-LINES:]
    return tuple(printable(one) for one in lines)


def printable(line: str) -> str:
    """The line with what a terminal must not be sent made visible."""
    return "".join(sign if sign.isprintable() or sign == "\t" else "\N{REPLACEMENT CHARACTER}" for sign in line)


class FileTail:
    """A file, from where it ended when the start began."""

    def __init__(self, path: str, start: int) -> None:
        self._path = path
        self._start = start

    def last_lines(self, pid: int) -> tuple[str, ...]:  # noqa: ARG002 - a file does not tell who wrote what
        """The last lines since the start began."""
        try:
            with open(self._path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(self._start, size - BYTES))
                return cut(file.read(BYTES))
        except (OSError, ValueError):
            return ()


class PipeTail:
    """What the forwarder to syslog echoed: the newest of it, if the pipe is drained while it is written."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = b""
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """What is readable when there is something to drain."""
        return self._descriptor

    def drain(self) -> bool:
        """Take what there is without waiting, and keep the end of it; false when nothing more can come."""
        try:
            data = os.read(self._descriptor, PIPE_SIZE)
        except BlockingIOError:
            return True
        self._kept = (self._kept + data)[-BYTES:]
        return bool(data)

    def last_lines(self, pid: int) -> tuple[str, ...]:  # noqa: ARG002
        """The last lines that passed the forwarder. They may be a moment behind the daemon's death."""
        import select
        import time

        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        deadline = time.monotonic() + PIPE_PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            if not poll.poll(min(left, PIPE_SILENCE) * 1000) or not self.drain():
                break
        return cut(self._kept)


class JournalTail:
    """What journald took."""

    def last_lines(self, pid: int) -> tuple[str, ...]:
        """What journalctl has of that process, if this user may read it."""
        import subprocess

        journalctl = [
            "journalctl",
            "--quiet",
            "--no-pager",
            "--output=cat",
            f"--lines={LINES}",
            f"_PID={pid}",
        ]
        try:
            subprocess.run(["journalctl", "--sync"], capture_output=True, timeout=JOURNAL_PATIENCE, check=False)
            found = subprocess.run(journalctl, capture_output=True, timeout=JOURNAL_PATIENCE, check=False)
        except (OSError, subprocess.SubprocessError):
            return ()
        return cut(found.stdout)
