"""Being told when files change (inotify(7))."""

from __future__ import annotations

import os
import struct

from .calls import check, libc

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800

_EVENT = struct.Struct("iIII")
_MOST_BYTES = 65536


class Inotify:
    """An inotify instance. What fails raises OSError."""

    def __init__(self) -> None:
        self._descriptor: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        check(self._descriptor, "inotify_init1")

    def fileno(self) -> int:
        """What is readable when something has changed."""
        return self._descriptor

    def add_watch(self, path: str, mask: int) -> int:
        """Watch a file or a directory; return the watch, the same one where that is watched already."""
        watch: int = libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        check(watch, "inotify_add_watch")
        return watch

    def read(self) -> list[tuple[int, int]]:
        """What has happened since the last call: the watches and the masks of the events."""
        try:
            data = os.read(self._descriptor, _MOST_BYTES)
        except BlockingIOError:
            return []
        events, place = [], 0
        while place < len(data):
            watch, mask, _cookie, length = _EVENT.unpack_from(data, place)
            events.append((watch, mask))
            place += _EVENT.size + length
        return events

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._descriptor)
