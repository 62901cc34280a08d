"""A helper process of the supervisor's, and the socket to it: how it is started, spoken to and heard.

Messages are JSON, each behind its length. `forker_client` and `runner_client` say what is in them. Nothing here waits.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import socket
import struct
import sys
from contextlib import suppress

from ..kernel import spawn
from ..kernel.spawn import Duplicate, Open
from .spawning import INVOCATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = dict[str, Any]

LENGTH = struct.Struct("=I")
"""What stands before each message: how many bytes it has."""

_SOCKET, _LOCK = 3, 4
"""The numbers under which a helper gets its socket and the lock."""

_ABOVE = 16
"""Copies are made above this number, where no step of the spawn closes them."""

_CHUNK = 65536

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")
"""What of the environment a helper gets, beside what begins with PYTHON."""


def frame(message: Message) -> bytes:
    """A message as it goes over the socket."""
    text = json.dumps(message).encode()
    return LENGTH.pack(len(text)) + text


def take_messages(received: bytearray) -> list[Message]:
    """The whole messages at the beginning of what was received; they are taken off it."""
    messages = []
    while len(received) >= LENGTH.size:
        end = LENGTH.size + LENGTH.unpack_from(received)[0]
        if len(received) < end:
            break
        messages.append(json.loads(received[LENGTH.size : end]))
        del received[:end]
    return messages


class Helper:
    """One helper process."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.socket = pid, connection
        self._outgoing, self._received = bytearray(), bytearray()

    @classmethod
    def start(cls, module: str, open_files: int, lock: int = -1, *, arguments: Sequence[str] = ()) -> Helper:
        """Start `python -m MODULE SOCKET LOCK ARGUMENTS`; `open_files` is its soft limit. Raises OSError."""
        own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        copies = []
        try:
            given = {_SOCKET: theirs.fileno(), _LOCK: lock}
            actions: list[Open | Duplicate] = [Open(descriptor=0, path=os.devnull, flags=os.O_RDONLY)]
            for number, source in given.items():
                if source >= 0:
                    copies.append(fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _ABOVE))
                    actions.append(Duplicate(source=copies[-1], descriptor=number))
            argv = [sys.executable, "-P", "-m", module, str(_SOCKET), str(_LOCK if lock >= 0 else -1)]
            argv += arguments
            with spawn.soft_limit(resource.RLIMIT_NOFILE, open_files):
                pid = spawn.posix_spawn(sys.executable, argv, environment(), actions=actions, directory="/")
        except BaseException:
            own.close()
            raise
        finally:
            theirs.close()
            for copy in copies:
                os.close(copy)
        own.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        return cls(pid, own)

    def say(self, epoll: select.epoll, message: Message | None = None) -> None:
        """The same as send(), where `epoll` listens to it: it tells when more of it can be sent."""
        is_sent = self.send(message)
        epoll.modify(self.socket, select.EPOLLIN if is_sent else select.EPOLLIN | select.EPOLLOUT)

    def has_ended(self) -> bool:
        """Whether it is dead, though its socket may be held by what it has begun."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def send(self, message: Message | None = None) -> bool:
        """Send a message, or what is left of earlier ones; whether all is sent."""
        if message is not None:
            self._outgoing += frame(message)
        try:
            while self._outgoing:
                del self._outgoing[: self.socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._outgoing.clear()  # its end is seen by receive()
        return not self._outgoing

    def receive(self) -> tuple[list[Message], bool]:
        """The messages that have come, and whether they were the last."""
        is_over = True
        try:
            while chunk := self.socket.recv(_CHUNK):
                self._received += chunk
        except BlockingIOError:
            is_over = False
        except ConnectionError:
            pass
        return take_messages(self._received), is_over

    def bury(self) -> None:
        """Close the socket, and reap it: it has ended, or does so now that the socket is closed."""
        self.socket.close()
        with suppress(ChildProcessError):  # reaped by another
            os.waitpid(self.pid, 0)


def environment() -> dict[str, str]:
    """What a helper has in its environment."""
    kept = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("PYTHON")}
    # By this it is seen to be kept by numen; it is no daemon's.
    return {**kept, INVOCATION: os.urandom(16).hex()}
