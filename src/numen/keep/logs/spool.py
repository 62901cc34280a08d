"""The spool: where lines stand between the FIFO and the log while they are stamped, so that none is lost or doubled.

The bytes go from the FIFO to the spool by splice(2): each is in the one or in the other. Before them stands where in
which file the first of them belongs. Whoever finds something in a spool cuts the log back to there, if it still is
that file, and writes the lines again. The time of the stamps stands there too, so that they are the same again.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import suppress

from .cutting import MARK, next_cut
from .stamping import stamp, stamped, unstamped_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .file import LogFile

BATCH = 2**18
"""The most bytes that are stamped at once."""

SMALL = 4096
"""The bytes that are stamped at once where a file is nearly full."""

_HEADER = struct.Struct("<8sQQQd")
_MAGIC = b"numen 1\n"


class Spool:
    """The spool of one log; the file is open only during a batch. What fails raises OSError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pending: bool | None = None

    def is_pending(self) -> bool:
        """Whether lines stand in it that may not be in the log."""
        if self._pending is None:
            try:
                self._pending = os.stat(self._path).st_size > _HEADER.size
            except FileNotFoundError:
                self._pending = False
        return self._pending

    def take(self, pipe: int, count: int, file: LogFile) -> int:
        """Move bytes from the FIFO to the spool, bound for the end of the file; return how many."""
        descriptor = self._open()
        try:
            os.ftruncate(descriptor, 0)
            _write_header(descriptor, file, 0, time.time())
            self._pending = True
            return os.splice(pipe, descriptor, min(count, BATCH), offset_dst=_HEADER.size)
        finally:
            os.close(descriptor)

    def deliver(self, file: LogFile, limit: Callable[[], int], rotate: Callable[[], None]) -> None:
        """Stamp what is in the spool and write it to the file, which is rotated when it has the size of the limit."""
        descriptor = self._open()
        try:
            self._deliver(descriptor, file, limit, rotate)
            os.ftruncate(descriptor, 0)
            self._pending = False
        finally:
            os.close(descriptor)

    def _deliver(self, descriptor: int, file: LogFile, limit: Callable[[], int], rotate: Callable[[], None]) -> None:
        header = os.pread(descriptor, _HEADER.size, 0)
        if len(header) < _HEADER.size or not header.startswith(_MAGIC):
            return
        _, inode, offset, done, when = _HEADER.unpack(header)
        text = os.pread(descriptor, os.fstat(descriptor).st_size, _HEADER.size)[done:]
        if file.inode == inode and file.offset > offset:
            file.cut_back(offset)
        mark = stamp(when)
        while text:
            _write_header(descriptor, file, done, when)
            whole = file.is_at_line_end()
            starts = whole or file.offset == 0
            room = limit() - file.offset
            # Not all at once where little of it has room: the stamps may make it many times longer.
            stamped_text = stamped(text[: max(room // 8, SMALL)], mark, from_line_start=starts)
            cut = next_cut(stamped_text, room, at_line_end=whole)
            if cut.rotate:
                # Should this process end now, the file has another name, and only the rest is written to the new one.
                rotate()
                continue
            file.write(stamped_text[: cut.count] + (MARK if cut.mark else b""))
            used = unstamped_length(stamped_text, cut.count, from_line_start=starts)
            done += used
            text = text[used:]

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def remove(self) -> None:
        """Remove it, once it is empty and its log is no longer kept."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)


def _write_header(descriptor: int, file: LogFile, done: int, when: float) -> None:
    os.pwrite(descriptor, _HEADER.pack(_MAGIC, file.inode, file.offset, done, when), 0)
