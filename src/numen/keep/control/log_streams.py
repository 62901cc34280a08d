"""Logs for clients of the control socket: read in a thread of `disk`, sent as fast as the client reads."""

from __future__ import annotations

import asyncio
from itertools import islice

from ..logs.following import Follower
from ..logs.reading import cursors_of, merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ..disk import Disk
    from ..logs.reading import Line
    from .calls import Call

BATCH = 500
"""Lines of one reply."""

DEFAULT_LINES = 100
"""How many of the last lines are told where neither a number nor a time is asked for."""


class LogStream:
    """One call for logs."""

    def __init__(self, call: Call, disk: Disk, logs: Mapping[str, str], *, follow: bool) -> None:
        """`logs` are names and paths; `follow` goes on with what comes, until the client goes."""
        self._call, self._disk, self._logs = call, disk, logs
        self._follows = follow and call.wants_more
        self._follower: Follower | None = None
        self._lines: Iterator[Line] = iter(())
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        call.on_close(self._close)

    def start(self, lines: int | None, since: float | None) -> None:
        """Tell the last lines, or those since a time."""
        if lines is None and since is None:
            lines = DEFAULT_LINES

        def begin() -> list[Line]:
            cursors = cursors_of(self._logs, lines=lines, since=since)
            if self._follows:
                self._follower = Follower(cursors)
            self._lines = merged(cursors, lines=lines, to_the_end=not self._follows)
            return list(self._lines) if not self._call.wants_more else list(islice(self._lines, BATCH))

        self._work(begin)

    def _work(self, read: Any) -> None:
        self._disk.work(f"/{id(self)}", read, self._tell)

    def _tell(self, found: list[Line] | Exception) -> None:
        if isinstance(found, Exception):
            self._call.error("SystemFailed", {"message": f"cannot read the log: {found}"})
        elif len(found) == BATCH and self._call.wants_more:
            self._reply(found, continues=True)
            self._call.on_drained(self._go_on)
        elif self._follows:
            if found:
                self._reply(found, continues=True)
            self._wait()
        else:
            self._reply(found, continues=False)
        if not self._call.is_open:
            self._close()

    def _go_on(self) -> None:
        self._work(lambda: list(islice(self._lines, BATCH)))

    def _wait(self) -> None:
        """Read again when there may be more."""
        assert self._follower is not None
        if not self._call.is_open:
            return
        self._loop.add_reader(self._follower.fileno(), self._read_more)
        patience = self._follower.patience()
        if patience is not None:
            self._timer = self._loop.call_later(patience, self._read_more)

    def _read_more(self) -> None:
        assert self._follower is not None
        self._loop.remove_reader(self._follower.fileno())
        if self._timer is not None:
            self._timer.cancel()
        follower = self._follower

        def read() -> list[Line]:
            self._lines = follower.read()
            return list(islice(self._lines, BATCH))

        self._work(read)

    def _reply(self, lines: list[Line], *, continues: bool) -> None:
        told = [_told(line) for line in lines]
        self._call.reply({"lines": told}, continues=continues)

    def _close(self) -> None:
        if self._follower is not None:
            self._loop.remove_reader(self._follower.fileno())
            follower, self._follower = self._follower, None
            # Behind what a thread may be reading from it just now.
            self._disk.work(f"/{id(self)}", follower.close, lambda _result: None)
        if self._timer is not None:
            self._timer.cancel()


def _told(line: Line) -> dict[str, Any]:
    said: dict[str, Any] = {"name": line.name, "text": line.text.decode(errors="replace")}
    return said if line.time is None else {**said, "time": line.time}
