"""What is listened to: descriptors, each with what it belongs to."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .life import ProcessId

    Source = tuple[str, str | ProcessId]

KEEPER, HELPER, RUNNER, PIDFD, READY, NOTIFY, MOVED, CLOCK, FORWARDER = (
    "keeper",
    "helper",
    "runner",
    "pidfd",
    "ready",
    "notify",
    "moved",
    "clock",
    "forwarder",
)
"""What a descriptor belongs to; READY and NOTIFY have the name of a daemon with them, PIDFD a process."""


class Sources:
    """The descriptors, polled together."""

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._sources: dict[int, Source] = {}

    def fileno(self) -> int:
        """Readable when one of them is."""
        return self._poller.fileno()

    def listen(self, descriptor: int, source: Source) -> None:
        """Listen to a descriptor; ignore() comes before it is closed."""
        if descriptor not in self._sources:
            self._poller.register(descriptor, select.EPOLLIN)
        self._sources[descriptor] = source

    def ignore(self, descriptor: int) -> None:
        """Listen to it no longer."""
        if self._sources.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    def readable(self) -> Iterator[tuple[int, Source]]:
        """Those that are readable now, and not ignored by the time they are told."""
        for descriptor, _ in self._poller.poll(0):
            source = self._sources.get(descriptor)
            if source is not None:
                yield descriptor, source

    def close(self) -> None:
        """Listen to nothing."""
        self._poller.close()
