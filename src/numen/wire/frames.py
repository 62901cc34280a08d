"""The messages on a connection: JSON objects, each ended by a NUL, none longer than agreed.

Whoever reads from a stranger takes messages from a `Frames`, which holds at most what one message may have. What goes
out is strict UTF-8 without NaN and Infinity, which other languages' parsers refuse; so does what comes in.
"""

from __future__ import annotations

import json

from ..errors import DaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

LARGEST_REQUEST = 16 << 20
"""Bytes that a request may have, its NUL not counted."""

LARGEST_REPLY = 64 << 20
"""Bytes that a reply may have; what can grow beyond that is sent in several."""

DEEPEST = 64
"""How deep objects and arrays may be nested."""


class BadMessage(DaemonError):
    """What came is no message of this protocol, or a longer one than agreed."""


def encode(message: dict[str, Any]) -> bytes:
    """The message with its NUL; what no UTF-8 can say, as in a path of another encoding, is sent as `?`."""
    text = _ENCODER.encode(message)
    try:
        return text.encode() + b"\0"
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace") + b"\0"


def decode(text: bytes) -> dict[str, Any]:
    """The message in the bytes before a NUL. Raises BadMessage."""
    try:
        message = _DECODER.decode(text.decode("utf-8"))
        if b"\\ud" in text or b"\\uD" in text:
            # A half of a surrogate pair is a string in Python, but no text: no path and no message can be made of it.
            json.dumps(message, ensure_ascii=False).encode()
    except RecursionError:
        raise BadMessage(f"no message: nested deeper than {DEEPEST}") from None
    except ValueError as error:
        raise BadMessage(f"no message: {str(error)[:200]}") from None
    if not isinstance(message, dict):
        raise BadMessage("no message: not an object")
    if text.count(b"{") + text.count(b"[") > DEEPEST and _is_deeper(message, DEEPEST):
        raise BadMessage(f"no message: nested deeper than {DEEPEST}")
    return message


class Frames:
    """The bytes that came and are no whole message yet, or have not been taken."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self._bytes = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def has_message(self) -> bool:
        """Whether a whole message waits to be taken."""
        return self._end() >= 0

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._bytes += data

    def take(self) -> bytes | None:
        """The bytes of the next message, `None` where it is not whole yet. Raises BadMessage where it is too long."""
        end = self._end()
        if (len(self._bytes) if end < 0 else end) > self.largest:
            raise BadMessage(f"no message: longer than {self.largest} bytes")
        if end < 0:
            return None
        text = bytes(memoryview(self._bytes)[:end])
        del self._bytes[: end + 1]
        self._searched = 0
        return text

    def _end(self) -> int:
        # What was searched is not searched again: a megabyte that comes byte by byte costs no more than at once.
        end = self._bytes.find(b"\0", self._searched)
        self._searched = len(self._bytes) if end < 0 else end
        return end


def _is_deeper(message: dict[str, Any], limit: int) -> bool:
    level: list[Any] = [message]
    for _ in range(limit):
        below: list[Any] = []
        for one in level:
            below.extend(one.values() if isinstance(one, dict) else one)
        level = [one for one in below if isinstance(one, (dict, list))]
        if not level:
            return False
    return True


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text[:40]} is no number")
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)
