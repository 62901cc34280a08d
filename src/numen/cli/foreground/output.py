"""The output of a run: what its daemons write, and between the lines what is told of them, by one thread.

Lines come from the log files, so a slow reader makes no daemon wait; and they are written whole by one thread, so none
is torn by another.
"""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import time
from queue import Empty, SimpleQueue

from ...become.tail import printable
from ...keep.logs.following import Follower
from ...keep.logs.reading import Cursor, merged
from ..heads import heads, stamp
from ..screen import is_terminal, wants_colours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ...keep.logs.reading import Line

DIM, RESET = "\x1b[2m", "\x1b[0m"

_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
"""What sets a colour (SGR of ECMA-48): it may pass to a terminal, nothing else that would change it."""

BATCH = 1 << 16
"""Bytes that are written at once."""

LAST_WORDS = 0.2
"""Seconds after an end in which the last words without a line end are in the log."""

OWN_STDERR = ".err"
"""Behind the name of a daemon in that of the log of its separate stderr."""


class Style:
    """How lines look."""

    def __init__(self, *, has_prefix: bool, has_times: bool, has_colours: bool) -> None:
        self.has_prefix, self.has_times = has_prefix, has_times
        self.is_terminal = is_terminal(sys.stdout)
        self._has_colours = has_colours and wants_colours()
        self._is_dim = self._has_colours and is_terminal(sys.stderr)
        self._heads: Mapping[str, str] = {}
        self._plain: Mapping[str, str] = {}

    def know(self, names: Iterable[str]) -> None:
        """These are the daemons; of a single one all lines are."""
        known = list(names)
        shown = known if self.has_prefix and len(known) > 1 else []
        self._heads = heads(shown, has_colours=self._has_colours and self.is_terminal)
        self._plain = heads(known, has_colours=False, mark="-")

    def line(self, line: Line) -> bytes:
        """A line of a daemon's, with its line end."""
        head = self._heads.get(line.name, "")
        if self.has_times:
            head += f"{stamp(line.time)}  "
        if not self.is_terminal:
            return head.encode(errors="backslashreplace") + line.text + b"\n"
        return f"{head}{_for_terminal(line.text)}\n".encode(sys.stdout.encoding, "backslashreplace")

    def told(self, name: str, text: str, *, is_dim: bool) -> bytes:
        """Something that is told of a daemon, or under no name of the run."""
        said = f"{self._plain.get(name, f'{name}: ' if name else '')}{printable(text)}"
        return (f"{DIM}{said}{RESET}\n" if is_dim and self._is_dim else f"{said}\n").encode(errors="backslashreplace")


def _for_terminal(text: bytes) -> str:
    """With the colours that are in it, which end with the line."""
    parts = _COLOUR.split(text.removesuffix(b"\r").decode(errors="replace"))
    if len(parts) == 1:
        return printable(parts[0])
    return "".join(part if index % 2 else printable(part) for index, part in enumerate(parts)) + RESET


class Output:
    """The thread; `gone` is called when nobody reads any more."""

    def __init__(self, style: Style, directory: str, gone: Callable[[], None]) -> None:
        self._style, self._directory, self._gone = style, directory, gone
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._cursors: dict[str, Cursor] = {}
        self._follower = Follower([])
        self._unended: dict[str, float] = {}
        """Daemons that have ended, and when a line that they have left unended is written."""
        self._is_over = self._is_gone = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def follow(self, names: Iterable[str]) -> None:
        """Follow the logs of these daemons, too, from their ends on; the style knows these alone."""
        known = list(names)
        keys = {key: name for name in known for key in (name, name + OWN_STDERR) if key not in self._cursors}
        # Here and now: what comes from now on is shown.
        new = {key: Cursor(name, os.path.join(self._directory, f"{key}.log"), lines=0) for key, name in keys.items()}

        def add() -> None:
            self._style.know(known)
            self._cursors.update(new)
            for cursor in new.values():
                self._follower.add(cursor)

        self._order(add)

    def tell(self, name: str, text: str, *, is_dim: bool = False) -> None:
        """Tell something on stderr, behind the lines that are there by now."""
        self._order(lambda: _tell(self._style.told(name, text, is_dim=is_dim)))

    def has_ended(self, name: str) -> None:
        """A daemon has ended: what it has left without a line end gets one."""
        self._order(lambda: self._unended.update({name: time.monotonic() + LAST_WORDS}))

    def finish(self) -> None:
        """Let all that is in the logs be written; wait() says when it is."""
        self._order(lambda: setattr(self, "_is_over", True))

    def wait(self, seconds: float) -> bool:
        """Wait for the end of all output; whether it has come."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.put(order)
        os.eventfd_write(self._wake, 1)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._follower, select.POLLIN)
        while not self._is_over:
            poll.poll(self._patience())
            self._print(self._follower.read())
            self._take_orders()
            self._end_lines()
        self._print(merged(self._cursors.values()))
        self._follower.close()

    def _patience(self) -> float | None:
        due = [max(0.0, when - time.monotonic()) for when in self._unended.values()]
        patience = self._follower.patience()
        if patience is not None:
            due.append(patience)
        return min(due) * 1000 + 1 if due else None

    def _take_orders(self) -> None:
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return
        while True:
            try:
                order = self._orders.get_nowait()
            except Empty:
                return
            order()

    def _end_lines(self) -> None:
        now = time.monotonic()
        for name in [name for name, when in self._unended.items() if when <= now]:
            del self._unended[name]
            for key in (name, name + OWN_STDERR):
                if key in self._cursors:
                    self._print(self._cursors[key].read(to_the_end=True))

    def _print(self, lines: Iterable[Line]) -> None:
        for batch in _batches(map(self._style.line, lines)):
            if not self._is_gone and not _write(1, batch):
                self._is_gone = True
                self._gone()


def _batches(lines: Iterable[bytes]) -> Iterator[bytes]:
    batch, size = [], 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= BATCH:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)


def _write(descriptor: int, data: bytes) -> bool:
    """Write all of it, however long that takes; false where nobody reads, or nothing can be written."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            # Whoever shares the terminal or the pipe with us has made it so.
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError:
            return False
    return True


def _tell(said: bytes) -> None:
    _write(2, said)
