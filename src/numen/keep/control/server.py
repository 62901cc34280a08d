"""The control socket: who may connect, and what becomes of a call before the service sees it.

It listens on a Unix socket of mode 0600 in a directory of mode 0700, to this user and to root, as the kernel names
them. Calls are checked against the interface file. Nothing here knows what is supervised, waits, or sets a timer.

    server = Server(supervisor_interface(), service)
    server.start("/run/numen/control")
    ...
    await server.close()
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import stat

from ... import __version__
from ...errors import Unusable, from_os_error
from ...wire import interface as interfaces
from ...wire.interface import Interface, Mismatch
from ...wire.sockets import at_path, is_trusted, peer_of
from .calls import (
    INTERFACE_NOT_FOUND,
    INVALID_PARAMETER,
    METHOD_NOT_FOUND,
    METHOD_NOT_IMPLEMENTED,
    OWN_INTERFACE,
    PERMISSION_DENIED,
    Call,
)
from .connection import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...wire.sockets import Peer
    from .calls import Service

MOST_CONNECTIONS = 256
"""How many clients may be connected. For one more, that one goes that has asked nothing for longest."""

_BACKLOG = 512
_TURN = 64
"""How many are accepted before those that are connected have their turn."""

_RETRY = 1.0
"""Seconds after which to accept again where the system had no descriptor or no memory left."""


def supervisor_interface() -> Interface:
    """The interface `io.numen.Supervisor`."""
    return interfaces.read(os.path.join(os.path.dirname(__file__), "io.numen.Supervisor.varlink"))


class Server:
    """A Varlink service on one Unix socket."""

    def __init__(
        self,
        interface: Interface,
        service: Service,
        *,
        check_replies: bool = False,
        tell: Callable[[str], None] | None = None,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        """`tell` hears, a line each, who is disconnected and why; `check_replies` lets a wrong reply raise Mismatch."""
        self.interface = interface
        self._check_replies = check_replies
        self._tell = tell or (lambda _: None)
        self._most_connections = most_connections
        own = interfaces.read(os.path.join(os.path.dirname(interfaces.__file__), f"{OWN_INTERFACE}.varlink"))
        self._services: dict[str, tuple[Interface, Service]] = {
            interface.name: (interface, service),
            own.name: (own, _OwnService([own, interface])),
        }
        # Names are looked up before there is a loop that a name service could delay.
        self._names = {0: "root", os.geteuid(): _user_name(os.geteuid())}
        # Ordered by their last call: the first has been silent for longest.
        self._connections: dict[Connection, None] = {}
        self._listener: socket.socket | None = None
        self._path = ""
        self._file: tuple[int, int] | None = None

    def start(self, path: str) -> None:
        """Listen on that path; a socket file that is left there is replaced, so only the holder of the lock calls this.

        Its directory is made if it is missing. Raises Unusable, NoPermission. It needs the running loop.
        """
        self._loop = asyncio.get_running_loop()
        self._path = os.path.abspath(path)
        self._listen()

    def renew(self) -> bool:
        """Listen anew if the socket file is not ours any more, or its directory is gone; whether that was so.

        Who is connected stays so. Raises Unusable, NoPermission.
        """
        if self._listener is None or _identity(self._path) == self._file:
            return False
        # First: while its file cannot be made anew, the former may be reached through a mount that others still have.
        former = self._listener
        self._listen()
        self._stop_listening(former)
        return True

    async def close(self, grace: float = 1.0) -> None:
        """Take no further call, and end when every reply has been read, or the grace is over, in seconds."""
        if self._listener is not None:
            if _identity(self._path) == self._file:
                os.unlink(self._path)
            self._stop_listening(self._listener)
            self._listener = None
        all_gone = asyncio.Event()

        def one_is_gone() -> None:
            if not self._connections:
                all_gone.set()

        for connection in tuple(self._connections):
            connection.leave(one_is_gone)
        try:
            if self._connections:
                await asyncio.wait_for(all_gone.wait(), grace)
        except TimeoutError:
            pass
        finally:
            for connection in tuple(self._connections):
                connection.end("did not read its last reply")

    # Listening

    def _listen(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            _make_directory(os.path.dirname(self._path))
            _remove_stale(self._path)
            at_path(listener.bind, self._path)
            # Nobody can connect before listen().
            os.chmod(self._path, 0o600)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise from_os_error(error, f"listen on {self._path}") from error
        except Unusable:
            listener.close()
            raise
        self._listener, self._file = listener, _identity(self._path)
        self._loop.add_reader(listener, self._accept, listener)

    def _stop_listening(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        listener.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_TURN):
            try:
                link, _address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if self._make_room(f"no other can be accepted: {error.strerror}"):
                    continue
                # It stays in the queue, and would be told of again and again.
                self._loop.remove_reader(listener)
                self._loop.call_later(_RETRY, self._accept_again, listener)
                return
            link.settimeout(0)
            self._welcome(link)

    def _accept_again(self, listener: socket.socket) -> None:
        if listener is self._listener:
            self._loop.add_reader(listener, self._accept, listener)

    def _welcome(self, link: socket.socket) -> None:
        try:
            peer = peer_of(link)
        except OSError:
            link.close()
            return
        connection = Connection(link, peer, self._who(peer), self._loop, self._take, self._ended)
        self._connections[connection] = None
        if not is_trusted(peer):
            connection.send({"error": PERMISSION_DENIED, "parameters": {}})
            connection.end("is neither our user nor root")
        elif len(self._connections) > self._most_connections and not self._make_room("too many are connected"):
            connection.end("is one too many")
        else:
            connection.start()

    def _make_room(self, why: str) -> bool:
        newest = next(reversed(self._connections), None)
        for connection in self._connections:
            if connection.is_idle and connection is not newest:
                connection.end(f"has been silent for longest, and {why}")
                return True
        return False

    def _ended(self, connection: Connection, reason: str) -> None:
        self._connections.pop(connection, None)
        if reason:
            self._tell(f"the client {connection.who} was disconnected: it {reason}")

    def _who(self, peer: Peer) -> str:
        return f"{self._names.get(peer.uid) or f'uid {peer.uid}'} (pid {peer.pid})"

    # Calls

    def _take(self, connection: Connection, message: dict[str, Any]) -> None:
        self._connections[connection] = self._connections.pop(connection)
        interface_name = str(message.get("method")).rpartition(".")[0]
        interface, service = self._services.get(interface_name, (None, None))
        call = Call(connection, interface or self.interface, message, check=self._check_replies)
        if not call.is_oneway:
            connection.begin(call)
        if misfit := _misfit(message, interface):
            call.error(*misfit)
            return
        assert service is not None
        try:
            service.call(call.method, message.get("parameters") or {}, call)
        except NotImplementedError:
            call.error(METHOD_NOT_IMPLEMENTED, {"method": message["method"]})
        except Exception as error:  # noqa: BLE001 - one client's call must not end what the others ask for
            self._loop.call_exception_handler({"message": f"cannot answer {message['method']}", "exception": error})
            connection.end(f"met a failure of ours in its call {call.method}: {error!r}")


class _OwnService:
    """What every service answers."""

    def __init__(self, known: list[Interface]) -> None:
        self._known = {one.name: one for one in known}

    def call(self, method: str, parameters: dict[str, Any], call: Call) -> None:
        if method == "GetInfo":
            call.reply(
                {"vendor": "numen", "product": "numen", "version": __version__, "url": "", "interfaces": [*self._known]}
            )
        elif (found := self._known.get(parameters["interface"])) is not None:
            call.reply({"description": found.text})
        else:
            call.error(INTERFACE_NOT_FOUND, {"interface": parameters["interface"]})


def _misfit(message: dict[str, Any], interface: Interface | None) -> tuple[str, dict[str, Any]] | None:
    """The error with which the protocol refuses the message, and its parameters."""
    if wrong := _malformed(message):
        return INVALID_PARAMETER, {"parameter": wrong}
    interface_name, _, name = message["method"].rpartition(".")
    if interface is None:
        return INTERFACE_NOT_FOUND, {"interface": interface_name}
    if name not in interface.methods:
        return METHOD_NOT_FOUND, {"method": message["method"]}
    try:
        interface.check_request(name, message.get("parameters") or {})
    except Mismatch as mismatch:
        return INVALID_PARAMETER, {"parameter": mismatch.parameter}
    return None


def _malformed(message: dict[str, Any]) -> str:
    """The key of the message that is not as the protocol has it."""
    if not isinstance(message.get("method"), str):
        return "method"
    if not isinstance(message.get("parameters"), dict | None):
        return "parameters"
    for flag in ("more", "oneway", "upgrade"):
        if not isinstance(message.get(flag), bool | None):
            return flag
    if message.get("more") and message.get("oneway"):
        return "more"
    # No method here hands its connection over to another protocol.
    return "upgrade" if message.get("upgrade") else ""


def _make_directory(path: str) -> None:
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.stat(path)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Unusable(
            f"cannot listen in {path}: it must be a directory of your own that is closed to others (mode 0700)",
            path=path,
        )


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise Unusable(f"cannot listen on {path}: there is something else; move it away", path=path)
    os.unlink(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
