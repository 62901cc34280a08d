"""For how long a log's files are kept: when the one that is written has been written for long enough, and which of the
older ones are too old, or too many bytes.

Time is wall time: it stands in the index and in the files' own times of change, so it is known to each supervisor.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ...record import Record
from . import index, rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .file import LogFile
    from .settings import LogSettings


class Retention:
    """What of one log is to be rotated, or removed, and when."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self.due: float | None = None
        """When something is to be done next, though nothing is written."""
        self._begun = 0.0
        """When the first byte of the file came that is written."""
        self._inode = -1
        self._older = 0
        """Bytes of the older files; after a compression there are fewer."""
        self._oldest: float | None = None
        """When the oldest file was last written."""

    def has_limits(self) -> bool:
        """Whether there is anything to see to."""
        settings = self._settings
        return settings.every is not None or settings.total is not None or settings.age is not None

    def note(self, file: LogFile, now: float) -> None:
        """Know the file that is about to be written."""
        if self._settings.every is None:
            return
        if not file.offset:
            self._begun = now
        elif file.inode != self._inode:
            self._begun = begun_at(file.path, file.inode, file.offset)
        self._begun = min(self._begun, now)  # somebody has set the clock back
        self._inode = file.inode

    def is_over(self, now: float) -> bool:
        """Whether the file that is written has been written for long enough."""
        return self._settings.every is not None and now >= self._begun + self._settings.every

    def has_room(self, size: int) -> bool:
        """Whether the older files leave room for one of that size."""
        return self._settings.total is None or self._older + size <= self._settings.total

    def is_any_old(self, now: float) -> bool:
        """Whether an older file has been kept for long enough."""
        return self._settings.age is not None and self._oldest is not None and now >= self._oldest + self._settings.age

    def prune(self, size: int, now: float) -> None:
        """Remove what is too old, and what leaves no room for a file of that size. Raises OSError."""
        total, age = self._settings.total, self._settings.age
        if total is None and age is None:
            return
        files = older_files(self._settings.path)
        room = float("inf") if total is None else total - size
        gone = surplus(files, room, 0.0 if age is None else now - age)
        for one in gone:
            os.unlink(one.name)
        left = files[: len(files) - len(gone)]
        self._older = sum(one.size for one in left)
        self._oldest = left[-1].changed if left else None

    def plan(self, file: LogFile, now: float) -> None:
        """Say when something is due, as things are after a move."""
        every, age = self._settings.every, self._settings.age
        times = []
        # Where a line is not whole yet, what ends it tells.
        if every is not None and file.offset and (not self.is_over(now) or file.is_at_line_end()):
            times.append(self._begun + every)
        if age is not None and self._oldest is not None:
            times.append(self._oldest + age)
        self.due = min(times, default=None)


class Older(Record):
    """A file that is full."""

    name: str
    size: int
    changed: float
    """When it was last written."""


def older_files(path: str) -> list[Older]:
    """The older files of the log, the newest first. Raises OSError."""
    found = []
    for _, name in rotation.rotated(path):
        with suppress(FileNotFoundError):
            status = os.stat(name)
            found.append(Older(name=name, size=status.st_size, changed=status.st_mtime))
    return found


def surplus(files: Sequence[Older], room: float, oldest: float) -> list[Older]:
    """Which of the files, the newest first, are to be removed, the oldest first.

    `room` is how many bytes they may have together; those that were last written at `oldest` or before are too old.
    """
    # From the end alone, even where somebody has touched a file: no number in between is left out.
    total = sum(one.size for one in files)
    found: list[Older] = []
    for one in reversed(files):
        if total <= room and one.changed > oldest:
            break
        found.append(one)
        total -= one.size
    return found


def begun_at(path: str, inode: int, size: int) -> float:
    """When the first byte of the log's file came that is not empty, as far as it is known. Raises OSError."""
    entries = index.of_file(index.read(index.index_path(path)), inode, size)
    return entries[0].begin if entries else os.stat(path).st_mtime
