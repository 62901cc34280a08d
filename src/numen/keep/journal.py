"""The journal: every life as it was last written down, in a file of one JSON record a line.

It is appended to before anything is done, so a record costs one write(2) and no rename. A kill can cut off the last
line alone; the reader leaves that out, and the next record starts a line of its own.
"""

from __future__ import annotations

import errno
import json
import os

from ..kernel.files import write_beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MODE = 0o600


class Journal:
    """One journal, held by one supervisor."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = -1

    def read(self) -> list[dict[str, Any]]:
        """The records in order; none where there is no journal."""
        try:
            with open(self.path, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return []
        return [record for line in lines if (record := _parse(line)) is not None]

    def append(self, record: dict[str, Any]) -> None:
        """Write a record behind the others. Raises OSError; then it is not there, not even in part."""
        if self._fd < 0:
            self._open()
        line = _line(record)
        written = os.write(self._fd, line)
        if written < len(line):
            # What was written of it would be glued to the next record.
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def replace(self, records: Iterable[dict[str, Any]]) -> None:
        """Let these be the records. Raises OSError; then the old ones are there still."""
        write_beside(self.path, b"".join(map(_line, records)), _MODE)
        self.close()

    def close(self) -> None:
        """Hold nothing open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE)
        size = os.fstat(self._fd).st_size
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")


# Made once: json.dumps() would make one for each record. Text that is no text, such as an argument in another
# encoding, is kept by surrogates.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def boot() -> str:
    """What the first record says: the boot id and the pid namespace, in which alone its pids mean something.

    Raises OSError: a boot that cannot be told is no other one.
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"


def _line(record: dict[str, Any]) -> bytes:
    return _encode(record).encode("ascii") + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
