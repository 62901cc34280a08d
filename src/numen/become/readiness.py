"""How a launcher knows that the daemon is up: by the exec, a notification, a descriptor, its end, or its word."""

from __future__ import annotations

import os
import resource
import select

from ..errors import BadOption
from ..record import Record
from .report import above_standard_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .listener import Listener

EXEC, NOTIFY, FD, EXIT, CALL = "exec", "notify", "fd", "exit", "call"

DEFAULT_TIMEOUT = 60.0
"""Seconds that a daemon has to become ready."""

MEANINGS = {
    EXEC: "the exec succeeded",
    NOTIFY: "it sent READY=1",
    FD: "it wrote a newline",
    EXIT: "it ended with exit status 0",
    CALL: "it said so",
}


class Kind(Record):
    """A kind of readiness, and the descriptor on which it is told, for `fd:N`."""

    name: str
    descriptor: int = -1

    def check_free(self, kept: Collection[int]) -> None:
        """Raise BadOption where the descriptor on which readiness is told is kept for something else, or too high."""
        if self.descriptor in kept:
            raise BadOption(f"descriptor {self.descriptor} cannot both be kept and tell of readiness")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and self.descriptor >= limit:
            raise BadOption(f"descriptor {self.descriptor} cannot be opened: the limit of open files is {limit}")


def parse(text: str) -> Kind:
    """The kind that `exec`, `notify`, `fd:N` or `exit` means. Raises BadOption."""
    name, separator, number = text.partition(":")
    if name == FD and separator and number.isascii() and number.isdigit() and int(number) > 2:
        return Kind(name=FD, descriptor=int(number))
    if text in (EXEC, NOTIFY, EXIT):
        return Kind(name=text)
    raise BadOption(f"readiness {text!r} is unknown; there are exec, notify, fd:N with N above 2, and exit")


class Channel:
    """What a launcher opens beforehand to hear of one kind of readiness."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.listener: Listener | None = None
        self.reader = self.writer = -1
        if kind.name == NOTIFY:
            from .listener import Listener

            self.listener = Listener()
            self.reader = self.listener.fileno()
        elif kind.name == FD:
            self.reader, self.writer = above_standard_streams(os.pipe())

    def environment(self) -> dict[str, str]:
        """What the daemon must find in its environment."""
        return {"NOTIFY_SOCKET": self.listener.address} if self.listener else {}

    def has_more(self) -> bool:
        """Whether something was told that has not been read."""
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        return bool(poll.poll(0))

    def close_writer(self) -> None:
        """Let the daemon be the only one who holds the writing end."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        """Listen no more."""
        self.close_writer()
        if self.listener is not None:
            self.listener.close()
        elif self.reader >= 0:
            os.close(self.reader)
        self.reader = -1
