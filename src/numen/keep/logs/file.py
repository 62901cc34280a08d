"""The file that is being written: opened, compared with what stands under its name, cut off, begun anew.

It is never opened with O_APPEND, which splice(2) refuses. So before each move the file's inode and size are compared
with what they were: after an administrator's truncate the log goes on at its end, after a removal it is made anew.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

LOG_MODE = 0o640


class LogFile:
    """One file, open while something is written to it. What fails raises OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.offset = 0
        """Where the next byte goes: the file's size."""
        self.inode = 0
        self.device = -1
        """The device of its file system, as far as it is known."""
        self._descriptor = -1

    def find_device(self) -> int:
        """The device of its file system; -1 where its directory is gone."""
        if self.device < 0:
            with suppress(OSError):
                self.device = os.stat(os.path.dirname(self.path)).st_dev
        return self.device

    def check(self) -> None:
        """Have the file open that stands under the name, with `offset` at its end."""
        if self._descriptor >= 0:
            try:
                found = os.stat(self.path)
            except FileNotFoundError:
                found = None
            if found is not None and (found.st_dev, found.st_ino) == (self.device, self.inode):
                self.offset = found.st_size
                return
            self.close()
        self._open()

    def _open(self) -> None:
        # Without O_NONBLOCK, a FIFO that stands there would be waited for.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            descriptor = os.open(self.path, flags, LOG_MODE)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), 0o700 if os.geteuid() else 0o755, exist_ok=True)
            descriptor = os.open(self.path, flags, LOG_MODE)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is no regular file", self.path)
        self._descriptor = descriptor
        self.device, self.inode, self.offset = found.st_dev, found.st_ino, found.st_size

    def take(self, pipe: int, count: int) -> int:
        """Move up to that many bytes from the pipe; each is in the pipe or in the file, whenever this process ends."""
        moved = os.splice(pipe, self._descriptor, count, offset_dst=self.offset)
        self.offset += moved
        return moved

    def write(self, text: bytes) -> None:
        """Write all of the text at the end."""
        rest = memoryview(text)
        while rest:
            written = os.pwrite(self._descriptor, rest, self.offset)
            self.offset += written
            rest = rest[written:]

    def cut_back(self, offset: int) -> None:
        """Take away what stands from there on; where an administrator has done so already, nothing is added."""
        if os.fstat(self._descriptor).st_size > offset:
            os.ftruncate(self._descriptor, offset)
        self.offset = offset

    def is_at_line_end(self) -> bool:
        """Whether its last line is whole, which an empty file's is not."""
        return self.offset > 0 and os.pread(self._descriptor, 1, self.offset - 1) == b"\n"

    def close(self) -> None:
        """Close it until the next check()."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
