"""Reading logs: the last lines, what came since a time, several logs merged by time, and what comes.

It works on the files alone, whether a supervisor runs or not, and while they are rotated and compressed.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from itertools import chain

from ...become.tail import printable
from ...record import Record
from . import index
from .cutting import LONGEST_LINE, MARK
from .parts import Part, is_current, part_after, parts_of
from .stamping import LENGTH, stamp_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LONGEST_TEXT = 2**20
"""A line that goes on for longer is given in pieces."""

_MARK_LINE = MARK.strip(b"\n")


class Line(Record):
    """One line of a log."""

    name: str
    time: float | None
    """When it came, wall time: from its stamp, or within a second from the index; None where nothing tells."""
    text: bytes
    """Without the line end and without the stamp."""
    is_stamped: bool = False
    """Whether a stamp stands before it in the file."""


class Cursor:
    """A place in one log, from which it is read on."""

    def __init__(
        self,
        name: str,
        path: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        place: tuple[int, int] | None = None,
    ) -> None:
        """Begin with that many of the last lines, or with what came since that time, or at a place (inode and offset;
        at the beginning of the last file where that one is gone), or with all. Raises OSError.
        """
        self.name = name
        self.path = path
        self._since = since
        self._part: Part | None = None
        self._ahead: list[Part] = []
        """The parts that come after it, as far as they are open; the newest first."""
        self._rest = b""
        self._held: Line | None = None
        """A very long line, of which the next one may tell that it was cut."""
        self._is_joining = False
        self._is_live = False
        self._begin(parts_of(path), lines, since, place)

    def _begin(
        self, parts: list[Part], lines: int | None, since: float | None, place: tuple[int, int] | None = None
    ) -> None:
        chosen: tuple[Part, int] | None = None
        if since is not None:
            starts = ((part, part.begin_since(since)) for part in parts)
            chosen = next(((part, start) for part, start in starts if start is not None), None)
            if chosen is None and parts:
                chosen = parts[-1], parts[-1].size()
        elif lines is not None:
            left = lines
            for part in reversed(parts):
                start, found = part.begin_of_last(left)
                chosen = part, start
                left -= found
                if left <= 0:
                    break
        elif place is not None and parts:
            inode, offset = place
            chosen = next(((part, offset) for part in parts if part.inode == inode), (parts[-1], 0))
        elif parts:
            chosen = parts[0], 0
        if chosen is not None:
            self._part, start = chosen
            self._part.seek(start)
            number = parts.index(self._part)
            self._ahead = parts[:number:-1]
            parts = parts[:number]
        for part in parts:
            part.close()

    def read(self, *, to_the_end: bool = False) -> Iterator[Line]:
        """The lines that are there now; with `to_the_end` the last one, too, though its line end is missing yet."""
        yield from self._wanted(self._joined(self._lines()))
        if to_the_end and self._rest:
            rest, self._rest = self._rest, b""
            yield from self._wanted([self._line(rest, None)])
        self._is_live = True

    def _lines(self) -> Iterator[Line]:
        if self._part is None:
            self._begin(parts_of(self.path), None, None)
        while (part := self._part) is not None:
            if not part.is_compressed and part.size() < part.offset:
                part.offset, self._rest = 0, b""  # truncated
            yield from self._lines_of(part)
            if not self._ahead and is_current(part, self.path):
                return
            after = self._ahead.pop() if self._ahead else part_after(part, self.path)
            if after is None:
                return
            # What came between the end that was seen and the rotation.
            yield from self._lines_of(part)
            if self._rest:
                rest, self._rest = self._rest, b""
                yield self._line(rest, part.time_at(part.offset))
            part.close()
            if not after.entries:
                after.use(index.read(index.index_path(self.path)))
            self._part = after

    def _lines_of(self, part: Part) -> Iterator[Line]:
        while data := part.read():
            begin = part.offset - len(data) - len(self._rest)
            *whole, self._rest = (self._rest + data).split(b"\n")
            for text in whole:
                yield self._line(text, part.time_at(begin))
                begin += len(text) + 1
            if len(self._rest) >= LONGEST_TEXT:
                yield self._line(self._rest, part.time_at(begin))
                self._rest = b""

    def _line(self, text: bytes, when: float | None) -> Line:
        stamped = stamp_of(text)
        if stamped is not None:
            return Line(name=self.name, time=stamped, text=text[LENGTH:], is_stamped=True)
        return Line(name=self.name, time=time.time() if self._is_live else when, text=text)

    def _joined(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines with those joined that were cut at the end of a file."""
        for line in lines:
            held, self._held = self._held, None
            if held is not None and self._is_joining:
                line = held.replace(text=held.text + line.text)  # noqa: PLW2901
                self._is_joining = False
            elif held is not None and line.text == _MARK_LINE:
                self._is_joining = True
                self._held = held
                continue
            elif held is not None:
                yield held
            if LONGEST_LINE <= len(line.text) < LONGEST_TEXT:
                self._held = line
            else:
                yield line
        if self._held is not None and not self._is_joining:
            yield self._held
            self._held = None

    def _wanted(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Without those of which the stamp says that they are too old."""
        for line in lines:
            is_old = self._since is not None and line.is_stamped and line.time is not None and line.time < self._since
            if not is_old:
                yield line

    def watched(self) -> list[str]:
        """The files that change when more comes."""
        return [self.path, os.path.dirname(self.path) or "."]

    def close(self) -> None:
        """Close what is open."""
        for part in self._ahead if self._part is None else [self._part, *self._ahead]:
            part.close()


def read(logs: Mapping[str, str], *, lines: int | None = None, since: float | None = None) -> Iterator[Line]:
    """The lines of these logs, given as names and paths: the last ones, or those since a time, or all.

    Of several logs the lines are merged by time, and `lines` counts all of them together. Raises OSError.
    """
    cursors = cursors_of(logs, lines=lines, since=since)
    try:
        yield from merged(cursors, lines=lines)
    finally:
        for cursor in cursors:
            cursor.close()


def cursors_of(logs: Mapping[str, str], *, lines: int | None = None, since: float | None = None) -> list[Cursor]:
    """A cursor for each of these logs, at where the reading begins. Raises OSError."""
    return [Cursor(name, path, lines=lines, since=since) for name, path in logs.items()]


def merged(cursors: Iterable[Cursor], *, lines: int | None = None, to_the_end: bool = True) -> Iterator[Line]:
    """What the cursors read now, merged by time; of that the last `lines`."""
    timed = [_timed(cursor.read(to_the_end=to_the_end)) for cursor in cursors]
    together = (line for _, line in heapq.merge(*timed, key=lambda one: one[0]))
    return together if lines is None else chain(deque(together, maxlen=lines))


def _timed(lines: Iterable[Line]) -> Iterator[tuple[float, Line]]:
    """The lines with the times by which they are merged, which never fall: within one log the order stays."""
    last = 0.0
    for line in lines:
        last = max(last, line.time or 0.0)
        yield last, line


def last_lines(path: str, count: int = 10) -> tuple[str, ...]:
    """The last lines of a log, fit for a terminal; nothing where they cannot be read."""
    try:
        return tuple(printable(line.text.decode(errors="replace")) for line in read({"": path}, lines=count))
    except OSError:
        return ()
