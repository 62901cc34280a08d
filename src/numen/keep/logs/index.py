"""The sparse index of a log: at what time which part of which of its files came.

Each line says `TIME INODE OFFSET`: from this offset on, the file with that inode was written at that time or within
the second after it. A fourth number is the end of a longer time. By the inode an entry goes with its file whatever
that is renamed to, so one index serves all files of a log. A line that is broken counts as missing: the index is a
help, and a log can be read without it.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress

from ...kernel.files import write_beside
from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SPACING = 1.0
"""Seconds from one entry to the next, at the least."""

MOST_BYTES = 2**17
"""From this size on, the index is thinned out: some 3000 entries."""

_ENTRY = re.compile(rb"(\d{1,11}\.\d{3}) (\d{1,19}) (\d{1,19})(?: (\d{1,11}\.\d{3}))?")


class Entry(Record):
    """From `offset` to the next entry's, the file was written between `begin` and `end`, wall time."""

    begin: float
    end: float
    inode: int
    offset: int


class Index:
    """The index of one log, as the mover writes it. A failure to write is not told: the next entry may succeed."""

    def __init__(self, log_path: str) -> None:
        self.path = index_path(log_path)
        self._last = Entry(begin=0.0, end=0.0, inode=-1, offset=0)
        self._lock = threading.Lock()

    def note(self, inode: int, offset: int, now: float) -> bool:
        """Enter that the file is written now from the offset on, if an entry is due; true where it grew too large."""
        last = self._last
        is_same = inode == last.inode and offset >= last.offset
        if is_same and last.begin <= now < last.end:
            return False
        self._last = Entry(begin=now, end=now + SPACING, inode=inode, offset=offset)
        with self._lock, suppress(OSError):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.write(descriptor, line(self._last))
                return os.fstat(descriptor).st_size > MOST_BYTES
            finally:
                os.close(descriptor)
        return False

    def thin_out(self, living: Collection[int]) -> None:
        """Keep what is of the files with these inodes, and of the older half of that every other entry."""
        with self._lock:
            self._replace(thinned([entry for entry in read(self.path) if entry.inode in living]))

    def move(self, old: int, new: int) -> None:
        """What was written in one file now stands in another, at the same offsets."""
        with self._lock:
            entries = read(self.path)
            if any(entry.inode == old for entry in entries):
                self._replace([entry.replace(inode=new) if entry.inode == old else entry for entry in entries])

    def _replace(self, entries: Iterable[Entry]) -> None:
        with suppress(OSError):
            write_beside(self.path, b"".join(map(line, entries)), 0o640)


def index_path(log_path: str) -> str:
    """The index of the log NAME.log is NAME.log.index."""
    return f"{log_path}.index"


def read(path: str) -> list[Entry]:
    """All entries of an index, in the order in which they were written; none where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return parsed(file.read())
    except OSError:
        return []


def parsed(content: bytes) -> list[Entry]:
    """The entries in these bytes, whatever else is in them."""
    entries = []
    # What follows the last line end was cut off.
    for text in content.split(b"\n")[:-1]:
        if found := _ENTRY.fullmatch(text):
            begin = float(found[1])
            end = float(found[4]) if found[4] else begin + SPACING
            entries.append(Entry(begin=begin, end=max(begin, end), inode=int(found[2]), offset=int(found[3])))
    return entries


def of_file(entries: Iterable[Entry], inode: int, size: int) -> list[Entry]:
    """Those that are of the file with that inode and size, in the order of their offsets."""
    found: list[Entry] = []
    for entry in entries:
        if entry.inode != inode:
            continue
        # Where an offset falls back, the file was truncated, or it is another one that got the same inode.
        if found and entry.offset <= found[-1].offset:
            found = [before for before in found if before.offset < entry.offset]
        if entry.offset <= size:
            found.append(entry)
    return found


def thinned(entries: list[Entry]) -> list[Entry]:
    """The entries with every other one of the older half joined to the one before it."""
    half = len(entries) // 2
    kept: list[Entry] = []
    for place, entry in enumerate(entries[:half]):
        before = kept[-1] if kept else None
        if before is not None and place % 2 and before.inode == entry.inode and before.offset <= entry.offset:
            kept[-1] = before.replace(begin=min(before.begin, entry.begin), end=max(before.end, entry.end))
        else:
            kept.append(entry)
    # Of very many files, the oldest have no entry any more.
    return [*kept, *entries[half:]][-MOST_BYTES // 64 :]


def line(entry: Entry) -> bytes:
    """The entry as a line of the index."""
    end = "" if entry.end == entry.begin + SPACING else f" {entry.end:.3f}"
    return f"{entry.begin:.3f} {entry.inode} {entry.offset}{end}\n".encode()
