"""A call as the service sees it: what is asked by whom, and the way to answer, now or later."""

from __future__ import annotations

from typing import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...wire.interface import Interface
    from ...wire.sockets import Peer
    from .connection import Connection

OWN_INTERFACE = "org.varlink.service"
"""The interface that every service has; its errors are the protocol's."""

INTERFACE_NOT_FOUND = f"{OWN_INTERFACE}.InterfaceNotFound"
METHOD_NOT_FOUND = f"{OWN_INTERFACE}.MethodNotFound"
METHOD_NOT_IMPLEMENTED = f"{OWN_INTERFACE}.MethodNotImplemented"
INVALID_PARAMETER = f"{OWN_INTERFACE}.InvalidParameter"
EXPECTED_MORE = f"{OWN_INTERFACE}.ExpectedMore"
PERMISSION_DENIED = f"{OWN_INTERFACE}.PermissionDenied"


class Service(Protocol):
    """Who answers. One that has not got a method raises NotImplementedError."""

    def call(self, method: str, parameters: dict[str, Any], call: Call) -> None:
        """Take a call: the parameters are what the interface says. It is answered through `call`, now or later."""


class Call:
    """One call. It is over with the first reply that does not continue, or an error, or when the client is gone."""

    def __init__(self, connection: Connection, interface: Interface, message: dict[str, Any], *, check: bool) -> None:
        self.method = str(message.get("method")).rpartition(".")[2]
        """Without its interface."""
        self.peer: Peer = connection.peer
        self.who: str = connection.who
        """Who asks, in words: `root (pid 4711)`."""
        self.wants_more: bool = message.get("more") is True
        """Whether several replies may come."""
        self.is_oneway: bool = message.get("oneway") is True
        self._connection = connection
        self._interface = interface
        self._check = check
        self._is_over = False
        self._on_close: list[Callable[[], None]] = []
        self._on_drained: list[Callable[[], None]] = []

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for a reply; what is replied to nobody is dropped without a word."""
        return not self._is_over

    def reply(self, parameters: dict[str, Any] | None = None, *, continues: bool = False) -> None:
        """Answer; with `continues` more will follow, and a client that has not asked for that gets ExpectedMore."""
        parameters = parameters or {}
        if self._check:
            self._interface.check_reply(self.method, parameters)
        if continues and not self.wants_more:
            self.error(EXPECTED_MORE)
        elif continues:
            self._send({"parameters": parameters, "continues": True})
        else:
            self._send({"parameters": parameters})
            self._finish()

    def error(self, name: str, parameters: dict[str, Any] | None = None) -> None:
        """Answer with an error of this interface, or, by its full name, of another."""
        parameters = parameters or {}
        if "." not in name:
            if self._check:
                self._interface.check_error(name, parameters)
            name = f"{self._interface.name}.{name}"
        self._send({"error": name, "parameters": parameters})
        self._finish()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call it once if the client goes before the last reply; soon, where it has gone already."""
        if self._connection.is_closed and not self.is_oneway:
            self._connection.soon(callback)
        elif not self._is_over:
            self._on_close.append(callback)

    @property
    def is_congested(self) -> bool:
        """Whether the client reads slower than it is written to: a stream should wait for on_drained().

        One that does not wait is ended when too much has piled up.
        """
        return not self._is_over and self._connection.is_congested

    def on_drained(self, callback: Callable[[], None]) -> None:
        """Call it once as soon as the call is not congested; never, if the client goes first."""
        if self.is_congested:
            self._on_drained.append(callback)
        elif not self._is_over:
            self._connection.soon(callback)

    # What its connection tells.

    def client_is_gone(self) -> None:
        """The connection has ended."""
        if not self._is_over:
            self._is_over = True
            for callback in self._on_close:
                self._connection.soon(callback)
            self._forget()

    def client_has_caught_up(self) -> None:
        """The client has caught up."""
        for callback in self._on_drained:
            self._connection.soon(callback)
        self._on_drained.clear()

    def _send(self, message: dict[str, Any]) -> None:
        if not self._is_over and not self.is_oneway:
            self._connection.send(message)

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._forget()
            self._connection.call_is_over(self)

    def _forget(self) -> None:
        self._on_close.clear()
        self._on_drained.clear()
