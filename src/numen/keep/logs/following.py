"""Following logs: waiting, without looking again and again, until there is more to read."""

from __future__ import annotations

import select

from ...kernel import inotify
from ...kernel.inotify import Inotify
from .reading import Cursor, Line, merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WITHOUT_DIRECTORY = 1.0
"""Seconds between two looks for a log whose directory is gone."""

_OF_A_FILE = inotify.IN_MODIFY
_OF_A_DIRECTORY = inotify.IN_CREATE | inotify.IN_MOVED_TO | inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF


class Follower:
    """Reads on in several logs as they grow. What fails raises OSError."""

    def __init__(self, cursors: Sequence[Cursor]) -> None:
        self._cursors = list(cursors)
        self._inotify = Inotify()
        self._is_blind = False
        self._watch()

    def fileno(self) -> int:
        """What is readable when there may be more to read."""
        return self._inotify.fileno()

    def patience(self) -> float | None:
        """Seconds after which to read() in any case; `None` where waiting for fileno() will do."""
        return WITHOUT_DIRECTORY if self._is_blind else None

    def read(self) -> Iterator[Line]:
        """The lines that have come, without waiting."""
        if self._is_blind or any(mask & ~_OF_A_FILE for _, mask in self._inotify.read()):
            self._watch()
        yield from merged(self._cursors, to_the_end=False)

    def follow(self) -> Iterator[Line]:
        """The lines as they come, for ever."""
        poll = select.poll()
        poll.register(self, select.POLLIN)
        while True:
            yield from self.read()
            patience = self.patience()
            poll.poll(None if patience is None else patience * 1000)

    def add(self, cursor: Cursor) -> None:
        """Read in one more log, from the next read() on."""
        self._cursors.append(cursor)
        self._watch()

    def _watch(self) -> None:
        """Watch what stands at the names now: of the files their growth, of the directories what is new in them."""
        self._is_blind = False
        for cursor in self._cursors:
            file, directory = cursor.watched()
            # In this order: of a file that comes in between, its directory tells.
            if not self._add(directory, _OF_A_DIRECTORY):
                self._is_blind = True
            self._add(file, _OF_A_FILE)

    def _add(self, path: str, mask: int) -> bool:
        try:
            self._inotify.add_watch(path, mask)
        except FileNotFoundError:
            return False
        return True

    def close(self) -> None:
        """Follow no more, and close the cursors."""
        self._inotify.close()
        for cursor in self._cursors:
            cursor.close()
