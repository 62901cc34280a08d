"""One client of the control socket: what it sends is taken apart, what it is sent waits until it reads.

Calls are taken one after the other, each when the former has its last reply. Nothing here waits: a client that is
silent costs a descriptor, one that does not read costs `LARGEST_BACKLOG` bytes and one reply, and is then ended.
"""

from __future__ import annotations

import select
import socket

from ...wire.frames import LARGEST_REQUEST, BadMessage, Frames, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import Any

    from ...wire.sockets import Peer
    from .calls import Call

CONGESTED = 1 << 18
"""Bytes that wait to be read by the client, from which on no further call of its is taken."""

READ_AHEAD = 1 << 20
"""Bytes that are read of a client whose last call is not answered."""

LARGEST_BACKLOG = 4 << 20
"""Bytes that may wait before a further reply: with that the connection is ended."""

_CHUNK = 1 << 16
_TURN = 16
"""How many calls of one connection are taken before the others have their turn."""


class Connection:
    """A client that was accepted, its socket not blocking."""

    def __init__(
        self,
        link: socket.socket,
        peer: Peer,
        who: str,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[Connection, dict[str, Any]], None],
        ended: Callable[[Connection, str], None],
    ) -> None:
        self.peer = peer
        self.who = who
        self.is_closed = False
        self._socket = link
        self._loop = loop
        self._take = take
        self._ended = ended
        self._frames = Frames(LARGEST_REQUEST)
        self._output = bytearray()
        self._current: Call | None = None
        self._is_reading = False
        self._is_at_end = False
        self._is_gone = False
        self._is_leaving = False
        self._is_advancing = False
        self._is_scheduled = False
        self._on_flushed: Callable[[], None] | None = None

    def start(self) -> None:
        """Hear the client."""
        self._read_or_pause()

    @property
    def is_idle(self) -> bool:
        """Whether neither side owes the other anything; a half of a request is not owed."""
        return self._current is None and not self._output

    @property
    def is_congested(self) -> bool:
        """Whether more waits for the client to read than it should."""
        return len(self._output) > CONGESTED

    def soon(self, callback: Callable[[], None]) -> None:
        """Call it from the loop, not from within what is being done."""
        self._loop.call_soon(callback)

    def send(self, message: dict[str, Any]) -> None:
        """Send it as soon as the client reads."""
        if self.is_closed:
            return
        if len(self._output) > LARGEST_BACKLOG:
            self.end(f"does not read: {len(self._output)} bytes wait")
            return
        data = encode(message)
        if self._output:
            self._output += data
            return
        try:
            sent = self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lost(error)
            return
        if sent < len(data):
            self._output += memoryview(data)[sent:]
            self._loop.add_writer(self._socket, self._writable)

    def begin(self, call: Call) -> None:
        """Take no other call before this one is over."""
        self._current = call

    def call_is_over(self, call: Call) -> None:
        """The call has its last reply: the next is taken."""
        if call is self._current:
            self._current = None
            self._advance_soon()

    def leave(self, on_flushed: Callable[[], None]) -> None:
        """Take no further call; end, and tell, when what waits has been read."""
        self._on_flushed = on_flushed
        self._is_leaving = True
        self._read_or_pause()
        if not self._output:
            self.end("")

    def end(self, reason: str) -> None:
        """Close it; the reason is empty where it is as it should be."""
        if self.is_closed:
            return
        self.is_closed = True
        self._ended(self, reason)
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._output.clear()
        if self._current is not None:
            self._current.client_is_gone()
            self._current = None
        if self._on_flushed is not None:
            self._on_flushed()

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if data:
            self._frames.feed(data)
        else:
            # What it has asked before is still taken, and answered where only its sending side is closed.
            self._is_at_end = True
            self._is_gone = self._has_hung_up()
        self._advance()

    def _lost(self, error: OSError) -> None:
        # A client that goes before its answer is nothing to tell of: somebody pressed Ctrl-C.
        gone = isinstance(error, (BrokenPipeError, ConnectionResetError))
        self.end("" if gone else f"cannot be reached: {error.strerror}")

    def _has_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, 0)
        return bool(poll.poll(0))

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._output, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        was_congested = self.is_congested
        del self._output[:sent]
        if not self._output:
            self._loop.remove_writer(self._socket)
            if self._is_leaving:
                self.end("")
                return
        if was_congested and not self.is_congested and self._current is not None:
            self._current.client_has_caught_up()
        if self._current is None and not self.is_congested:
            self._advance()

    def _advance_soon(self) -> None:
        if not self._is_advancing and not self._is_scheduled and not self.is_closed:
            self._is_scheduled = True
            self.soon(self._scheduled)

    def _scheduled(self) -> None:
        self._is_scheduled = False
        self._advance()

    def _advance(self) -> None:
        """Take the calls that have come, as far as that may be."""
        self._is_advancing = True
        taken = 0
        while taken < _TURN and self._may_take() and self._take_next():
            taken += 1
        self._is_advancing = False
        if self.is_closed:
            return
        if self._is_gone and self._current is not None:
            self.end("")
        elif taken == _TURN:
            self._advance_soon()
        elif self._is_at_end and self.is_idle:
            self.end("")
        else:
            self._read_or_pause()

    def _may_take(self) -> bool:
        return self._current is None and not (self.is_closed or self._is_leaving or self.is_congested)

    def _take_next(self) -> bool:
        try:
            text = self._frames.take()
            if text is None:
                return False
            message = decode(text)
        except BadMessage as error:
            self.end(f"sent {error}")
            return False
        self._take(self, message)
        return True

    def _read_or_pause(self) -> None:
        """Hear the client, unless it has no more to say, or says more than can be done.

        While it is not heard, it is not seen to hang up either, until it is written to.
        """
        # One long message may come whole; who sends more before the last is answered is not read that far.
        enough = READ_AHEAD if self._frames.has_message else LARGEST_REQUEST
        wanted = not (self._is_at_end or self._is_leaving) and len(self._frames) <= enough
        if wanted and not self._is_reading:
            self._loop.add_reader(self._socket, self._readable)
        elif self._is_reading and not wanted:
            self._loop.remove_reader(self._socket)
        self._is_reading = wanted
