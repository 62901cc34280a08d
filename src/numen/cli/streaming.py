"""Printing what may have no end: line by line, until its reader has gone."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

READER_GONE = 128 + 13
"""The exit status where nobody reads any more, as a shell tells SIGPIPE."""


def print_all(lines: Iterable[str | bytes], *, at_once: bool = True) -> int:
    """Print lines; the exit status. It ends where the reader does, as in `numen logs -f | head`.

    `at_once` lets each be seen as soon as it is there; what has an end is printed quicker without.
    """
    if sys.stdout is None:
        return 0
    out, encoding = sys.stdout.buffer, sys.stdout.encoding
    try:
        for line in lines:
            out.write((line if isinstance(line, bytes) else line.encode(encoding, "backslashreplace")) + b"\n")
            if at_once:
                out.flush()
        out.flush()
    except BrokenPipeError:
        return READER_GONE
    return 0
