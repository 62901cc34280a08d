"""Reading a log line by line with the place after each, so that another process can go on there."""

from __future__ import annotations

import zlib

from ...record import Record
from .cutting import MARK
from .parts import is_current, part_after, part_of, parts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .parts import Part

LONGEST = 2**20
"""A line that goes on for longer is given in pieces."""

_BEHIND = 32
"""So many bytes before a place tell whether it is that place still: an inode may be another file's later."""

_MARK_LINE = MARK.strip(b"\n")


class Place(Record):
    """Where a log is read on."""

    inode: int = 0
    offset: int = 0
    check: int | None = None
    """Of the bytes before it; None where they are not known."""


class Tail:
    """One log, read from a place on; from the beginning of its oldest file where that place is gone."""

    def __init__(self, path: str, place: Place) -> None:
        """Raises OSError."""
        self._path, self._begin_at = path, place
        self._part: Part | None = None
        self._data, self._begin = b"", 0
        """What is read, some bytes before the place among them, and where in that the next line begins."""

    @property
    def place(self) -> Place:
        """Behind the last line that was given."""
        if self._part is None:
            return self._begin_at
        offset = self._part.offset - len(self._data) + self._begin
        return Place(inode=self._part.inode, offset=offset, check=self._check())

    def _check(self) -> int:
        return zlib.crc32(self._data[max(self._begin - _BEHIND, 0) : self._begin])

    def lines(self, *, to_the_end: bool = False) -> Iterator[bytes]:
        """The lines that are there; with `to_the_end` the last one too, though its line end is missing.

        Raises OSError.
        """
        for line in self._lines(to_the_end=to_the_end):
            if line != _MARK_LINE:
                yield line

    def _lines(self, *, to_the_end: bool) -> Iterator[bytes]:
        if self._part is None and not self._open():
            return
        while True:
            end = self._data.find(b"\n", self._begin)
            if end >= 0:
                begin, self._begin = self._begin, end + 1
                yield self._data[begin:end]
            elif len(self._data) - self._begin >= LONGEST:
                yield self._rest()
            elif self._take():
                continue
            elif (after := self._after()) is None:
                if to_the_end and self._begin < len(self._data):
                    yield self._rest()
                return
            elif self._take():
                after.close()  # it came between the end that was seen and the rotation
            else:
                rest = self._rest()
                self._use(after)
                if rest:
                    yield rest

    def _rest(self) -> bytes:
        begin, self._begin = self._begin, len(self._data)
        return self._data[begin:]

    def _take(self) -> bool:
        """Read on in the present file."""
        part = self._part
        assert part is not None
        if not part.is_compressed and part.size() < part.offset:
            part.offset, self._data, self._begin = 0, b"", 0  # truncated
        data = part.read()
        kept = max(self._begin - _BEHIND, 0)
        self._data = self._data[kept:] + data
        self._begin -= kept
        return bool(data)

    def _after(self) -> Part | None:
        assert self._part is not None
        return None if is_current(self._part, self._path) else part_after(self._part, self._path)

    def _use(self, part: Part) -> None:
        self.close()
        self._part, self._data, self._begin = part, b"", 0

    def _open(self) -> bool:
        """Open the file in which the place is; whether there is any."""
        place = self._begin_at
        part = part_of(self._path, place.inode) if place.inode else None
        if part is not None:
            behind = min(place.offset, _BEHIND)
            part.seek(place.offset - behind)
            is_there = part.offset == place.offset - behind
            self._use(part)
            self._take()
            self._begin = behind
            if is_there and len(self._data) >= behind and place.check in (None, self._check()):
                return True
        parts = parts_of(self._path)
        for one in parts[1:]:
            one.close()
        if not parts:
            self.close()
            self._begin_at = Place()
            return False
        self._use(parts[0])
        return True

    def close(self) -> None:
        """Close what is open."""
        if self._part is not None:
            self._part.close()
            self._part = None
