"""The stamp before each line of a log with timestamps: the time in UTC, as `2026-11-24T10:11:12.345Z `."""

from __future__ import annotations

import re
import time
from calendar import timegm
from functools import lru_cache

LENGTH = 25

_STAMP = re.compile(rb"((?:19[7-9]\d|2\d{3})-\d\d-\d\dT\d\d:\d\d:[0-5]\d)\.(\d{3})Z ")


def stamp(when: float) -> bytes:
    """The stamp for a time in seconds since the epoch."""
    milliseconds = int(when * 1000)
    whole = time.gmtime(milliseconds // 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", whole).encode() + b".%03dZ " % (milliseconds % 1000)


def stamped(text: bytes, mark: bytes, *, from_line_start: bool) -> bytes:
    """The text with the stamp `mark` before each line that begins in it."""
    body, end = (text[:-1], b"\n") if text.endswith(b"\n") else (text, b"")
    start = mark if from_line_start and text else b""
    return start + body.replace(b"\n", b"\n" + mark) + end


def unstamped_length(text: bytes, count: int, *, from_line_start: bool) -> int:
    """How many bytes without stamps are in the first `count` of a text that stamped() has made."""
    stamps = text.count(b"\n", 0, max(count - 1, 0)) + (from_line_start and count > 0)
    return max(count - stamps * LENGTH, 0)


def stamp_of(line: bytes) -> float | None:
    """The time in the stamp of a line; None where it has no stamp."""
    found = _STAMP.match(line)
    whole = _seconds(found[1]) if found else None
    return whole + int(found[2]) / 1000 if found and whole is not None else None


@lru_cache(maxsize=16)
def _seconds(text: bytes) -> int | None:
    try:
        return timegm(time.strptime(text.decode(), "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
