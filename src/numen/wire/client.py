"""A client that waits for its answers; it costs a command `socket` and `json`, no more.

    with connect("/run/numen/control") as supervisor:
        reply = supervisor.call("io.numen.Supervisor.Status", {"names": ["web-*"]})
        for reply in supervisor.more("io.numen.Supervisor.Logs", {"names": ["web"], "follow": True}):
            ...

An error that the other side declares comes as `Refused`, with its name and parameters. Where nobody listens it is
`NotRunning`, where the listener is neither of our user nor root `NoPermission`, and where the connection ends before
the answer `Disconnected`.
"""

from __future__ import annotations

import os
import socket

from ..errors import DaemonError, NoPermission, NotRunning, from_os_error
from .frames import LARGEST_REPLY, Frames, decode, encode
from .sockets import at_path, is_trusted, peer_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self

_CHUNK = 1 << 18

_AHEAD = 32
_AHEAD_BYTES = 1 << 16
"""How many calls, and of how many bytes, are sent before their answers are read: both sides' buffers hold them, so that
never each waits for the other to read."""


class Refused(DaemonError):
    """The other side answered with an error that its interface declares, or the protocol."""

    name: str
    """With its interface: `io.numen.Supervisor.NoSuchDaemon`."""
    parameters: dict[str, Any]

    @property
    def short_name(self) -> str:
        """Without its interface: `NoSuchDaemon`."""
        return self.name.rpartition(".")[2]

    def __reduce__(self) -> tuple[Any, ...]:
        return _refused, (self.name, self.parameters)


class Disconnected(DaemonError):
    """The connection ended, or the time was over, before the answer came."""


def connect(path: str, *, timeout: float | None = None) -> Connection:
    """Connect to who listens on that path; `timeout` is how many seconds each wait for it may last.

    Raises NotRunning where nobody listens, NoPermission where a user does whom we must not trust.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(timeout)
        at_path(link.connect, os.path.abspath(path))
        peer = peer_of(link)
    except OSError as error:
        link.close()
        if isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)):
            raise NotRunning(f"cannot connect to {path}: nobody listens there", path=path) from error
        if isinstance(error, TimeoutError):
            raise Disconnected(f"cannot connect to {path}: not accepted within {timeout:g} seconds") from error
        raise from_os_error(error, f"connect to {path}") from error
    if not is_trusted(peer):
        link.close()
        raise NoPermission(
            f"cannot trust {path}: uid {peer.uid} listens there (pid {peer.pid}), neither you nor root", path=path
        )
    return Connection(link, path)


class Connection:
    """A connection; one call at a time, or several by calls(). A stream that is left before its end ends it."""

    def __init__(self, link: socket.socket, path: str) -> None:
        self._socket = link
        self._path = path
        self._frames = Frames(LARGEST_REPLY)

    def call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call a method, by its name with its interface, and wait for its reply. Raises Refused."""
        self._send(_request(method, parameters))
        reply, continues = self._receive()
        if continues:
            self.close()
            raise Disconnected(f"cannot read the answer of {self._path}: several came, where one was asked for")
        return _unwrapped(reply)

    def more(self, method: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Call a method with `more`: each reply as it comes, until the last. Raises Refused, also between them."""
        self._send(_request(method, parameters, more=True))
        return self._replies()

    def calls(self, calls: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any] | Refused]:
        """Call several without waiting in between: for each in order its reply, or the error that it met."""
        for batch in _batches(calls):
            self._send(b"".join(batch))
            for _ in batch:
                yield self._answer()

    def tell(self, method: str, parameters: dict[str, Any] | None = None) -> None:
        """Call a method whose reply nobody waits for."""
        self._send(_request(method, parameters, oneway=True))

    def close(self) -> None:
        """End the connection; what is still asked for on it is forgotten by the other side."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _replies(self) -> Iterator[dict[str, Any]]:
        ended = False
        try:
            while not ended:
                reply, continues = self._receive()
                ended = not continues
                yield _unwrapped(reply)
        finally:
            if not ended:
                self.close()

    def _answer(self) -> dict[str, Any] | Refused:
        reply, _ = self._receive()
        try:
            return _unwrapped(reply)
        except Refused as refused:
            return refused

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            # It may have said why before it left: that is read next.
            return
        except OSError as error:
            raise self._lost(error) from error

    def _receive(self) -> tuple[dict[str, Any], bool]:
        while (text := self._frames.take()) is None:
            try:
                data = self._socket.recv(_CHUNK)
            except ConnectionResetError:
                data = b""
            except OSError as error:
                raise self._lost(error) from error
            if not data:
                self.close()
                raise Disconnected(f"cannot hear from {self._path}: it ended the connection before it had answered")
            self._frames.feed(data)
        reply = decode(text)
        return reply, reply.get("continues") is True and reply.get("error") is None

    def _lost(self, error: OSError) -> DaemonError:
        self.close()
        if isinstance(error, TimeoutError):
            return Disconnected(f"cannot hear from {self._path}: no answer in time")
        return Disconnected(f"cannot hear from {self._path}: {error.strerror or error}", errno=error.errno)


def _request(method: str, parameters: dict[str, Any] | None, **flags: bool) -> bytes:
    return encode({"method": method, "parameters": parameters or {}, **flags})


def _batches(calls: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for method, parameters in calls:
        request = _request(method, parameters)
        if batch and (len(batch) == _AHEAD or sum(map(len, batch)) + len(request) > _AHEAD_BYTES):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _unwrapped(reply: dict[str, Any]) -> dict[str, Any]:
    parameters = reply.get("parameters")
    if not isinstance(parameters, dict):
        parameters = {}
    if (name := reply.get("error")) is not None:
        raise _refused(str(name), parameters)
    return parameters


def _refused(name: str, parameters: dict[str, Any]) -> Refused:
    said = parameters.get("message")
    if not isinstance(said, str):
        said = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return Refused(f"refused: {name.rpartition('.')[2]}{': ' if said else ''}{said}", name=name, parameters=parameters)
