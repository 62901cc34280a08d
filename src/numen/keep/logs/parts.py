"""The files of a log as a reader sees them: opened once, compressed or not, whatever they are renamed to meanwhile."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from contextlib import suppress

from . import index, rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .index import Entry

CHUNK = 2**18

TRIES = 20
"""How often the next file is looked for while others are renamed."""

_HEADER = re.compile(rb"\x1f\x8b\x08\x08.{6}log\.(\d+)\0", re.DOTALL)
"""How a file begins that `compression` has written."""


class Part:
    """One file of a log, open for reading."""

    def __init__(self, path: str) -> None:
        """Raises OSError, FileNotFoundError where there is none."""
        self._raw = open(path, "rb", buffering=0)  # noqa: SIM115 - close() does it
        self.is_compressed = path.endswith(rotation.COMPRESSED)
        found = os.fstat(self._raw.fileno())
        self.inode, self.device = found.st_ino, found.st_dev
        self.offset = 0
        """How far it has been read, in bytes that are not compressed."""
        self.entries: list[Entry] = []
        self._entry = -1
        self._unpacked = gzip.GzipFile(fileobj=self._raw, mode="rb") if self.is_compressed else None

    def size(self) -> int:
        """How large the file is now."""
        return os.fstat(self._raw.fileno()).st_size

    def changed(self) -> float:
        """When it was last written, wall time."""
        return os.fstat(self._raw.fileno()).st_mtime

    def use(self, entries: Iterable[Entry]) -> None:
        """Know from the log's index at what time what came."""
        size = 2**63 if self.is_compressed else self.size()
        self.entries = index.of_file(entries, self.inode, size)

    def read(self) -> bytes:
        """The next bytes; nothing at the end, or where a compressed file is broken."""
        if self._unpacked is None:
            data = os.pread(self._raw.fileno(), CHUNK, self.offset)
        else:
            try:
                data = self._unpacked.read(CHUNK)
            except (EOFError, OSError, zlib.error):
                data = b""
        self.offset += len(data)
        return data

    def seek(self, offset: int) -> None:
        """Go on reading at that offset, or at the end where that is before."""
        if self._unpacked is None:
            self.offset = min(offset, self.size())
            return
        with suppress(EOFError, OSError, zlib.error):
            self._unpacked.seek(offset)
        self.offset = self._unpacked.tell()

    def time_at(self, offset: int) -> float | None:
        """When the byte at that offset came, as far as the index says. Offsets only grow from call to call."""
        while self._entry + 1 < len(self.entries) and self.entries[self._entry + 1].offset <= offset:
            self._entry += 1
        return self.entries[self._entry].begin if self._entry >= 0 else None

    def begin_since(self, since: float) -> int | None:
        """The offset of the first byte that came at that time or later, or a little before; None if all are older."""
        if self.changed() < since - index.SPACING:
            return None
        places = [place for place, entry in enumerate(self.entries) if entry.end >= since]
        place = places[0] if places else len(self.entries) - 1
        # Before the first entry there is nothing, unless that entry's predecessor was lost.
        return self.entries[place].offset if place > 0 else 0

    def begin_of_last(self, count: int) -> tuple[int, int]:
        """The offset where the last `count` lines begin, and how many lines there are from there on."""
        return self._from_start(count) if self.is_compressed else self._from_end(count)

    def _from_end(self, count: int) -> tuple[int, int]:
        end = self.size()
        if not end or not count:
            return end, 0
        descriptor = self._raw.fileno()
        place, lines = end, 0
        while place > 0:
            start = max(place - CHUNK, 0)
            block = os.pread(descriptor, place - start, start)
            # The line end that ends the file begins no line.
            find = len(block) - 1 if place == end else len(block)
            while (find := block.rfind(b"\n", 0, find)) >= 0:
                lines += 1
                if lines == count:
                    return start + find + 1, count
            place = start
        return 0, lines + 1

    def _from_start(self, count: int) -> tuple[int, int]:
        total, last = 0, b""
        while data := self.read():
            total += data.count(b"\n")
            last = data[-1:]
        lines = total + (last not in (b"", b"\n"))
        self.seek(0)
        if lines <= count:
            return 0, lines
        skip = lines - count
        while data := self.read():
            here = data.count(b"\n")
            if here >= skip:
                find = -1
                for _ in range(skip):
                    find = data.index(b"\n", find + 1)
                return self.offset - len(data) + find + 1, count
            skip -= here
        return self.offset, 0

    def is_gone(self) -> bool:
        """Whether it has no name any more."""
        return os.fstat(self._raw.fileno()).st_nlink == 0

    def identity(self) -> tuple[int, int]:
        """By what it is known whatever its name is."""
        return self.device, self.inode

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def parts_of(path: str) -> list[Part]:
    """The files of a log, the oldest first; none where there is no log. Raises OSError."""
    while True:
        parts = _open_all(path)
        # A rotation meanwhile may have hidden one.
        if {part.identity() for part in parts} == {*_identities(path)}:
            break
        for part in parts:
            part.close()
    entries = index.read(index.index_path(path))
    for part in parts:
        part.use(entries)
    return parts[::-1]


def part_of(path: str, inode: int) -> Part | None:
    """The file of the log that has, or had before it was compressed, that inode. Raises OSError."""
    for (_, found), name in _identities(path).items():
        if inode in (found, _origin(name)):
            with suppress(FileNotFoundError):
                part = Part(name)
                if part.inode == found:
                    return part
                part.close()  # another has got that name meanwhile
    return None


def is_current(part: Part, path: str) -> bool:
    """Whether that is the file that is being written."""
    with suppress(OSError):
        return _identity(path) == part.identity()
    return False


def part_after(part: Part, path: str) -> Part | None:
    """The file of the log that was begun after that one; None where there is none yet. Raises OSError."""
    for _ in range(TRIES):
        files = _identities(path)
        place = _place_of(part, files)
        if place is None and not part.is_gone():
            continue  # it is being renamed
        newer = list(files.items())[:place]
        if place is None:
            newer = [(identity, name) for identity, name in newer if _changed(name) >= part.changed()]
        if not newer:
            return None
        identity, name = newer[-1]
        with suppress(FileNotFoundError):
            found = Part(name)
            if found.identity() == identity:
                return found
            found.close()  # another has got that name meanwhile
    # It was moved elsewhere, and what is at its place now is new.
    with suppress(FileNotFoundError):
        return Part(path)
    return None


def _place_of(part: Part, files: dict[tuple[int, int], str]) -> int | None:
    """Where among the files, the newest first, it stands, perhaps compressed; None where it is not there."""
    if part.identity() in files:
        return list(files).index(part.identity())
    if not part.is_gone():
        return None
    return next((place for place, name in enumerate(files.values()) if _origin(name) == part.inode), None)


def _changed(name: str) -> float:
    try:
        return os.stat(name).st_mtime
    except FileNotFoundError:
        return 0.0


def _identities(path: str) -> dict[tuple[int, int], str]:
    """The files of a log by their identity, the newest first, each with the name it has now."""
    found = _found_now(path)
    for _ in range(TRIES):
        before, found = found, _found_now(path)
        if list(found.items()) == list(before.items()):
            break  # else a rotation meanwhile may have hidden one
    return found


def _found_now(path: str) -> dict[tuple[int, int], str]:
    found: dict[tuple[int, int], str] = {}
    numbers = set()
    for number, name in [(0, path), *rotation.rotated(path)]:
        for one in (name, name + rotation.COMPRESSED):
            with suppress(FileNotFoundError):
                identity = _identity(one)
                # Where both are there, the one that is not compressed will go.
                if identity not in found and number not in numbers:
                    found[identity] = one
                    numbers.add(number)
                break
    return found


def _identity(name: str) -> tuple[int, int]:
    found = os.stat(name)
    return found.st_dev, found.st_ino


def _origin(name: str) -> int:
    """The inode that a file had before it was compressed; 0 where nothing tells."""
    if name.endswith(rotation.COMPRESSED):
        with suppress(OSError), open(name, "rb") as file:
            found = _HEADER.match(file.read(40))
            return int(found[1]) if found else 0
    return 0


def _open_all(path: str) -> list[Part]:
    parts = []
    for name in _identities(path).values():
        with suppress(FileNotFoundError):
            parts.append(Part(name))
    return parts
